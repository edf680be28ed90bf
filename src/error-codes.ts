/** The code of each error, and the exit code it ends in. */

/** Exit codes of the command line tool; `EXIT_MEANINGS` says what each means. */
export const EXIT = {
  done: 0,
  bug: 1,
  usage: 2,
  source: 3,
  malformed: 4,
  mismatch: 5,
  target: 6,
  verification: 7,
  /** Another run works on the target: try again later. EX_TEMPFAIL of sysexits(3), which job schedulers know. */
  busy: 75,
  interrupted: 130,
  terminated: 143,
} as const;

/** What each exit code means, in the words of the help and of docs/options.md. */
export const EXIT_MEANINGS: Readonly<Record<keyof typeof EXIT, string>> = {
  done: "done",
  bug: "a bug of this tool",
  usage: "usage",
  source: "a source can't be found or read",
  malformed: "a checkpoint is malformed, or of a kind that isn't read",
  mismatch: "base and delta don't fit each other",
  target:
    "the target can't be written (it exists, no space, no permission) or sent to the Hub (no right, another model is there, no connection), or stdout can't be written",
  verification: "verification failed, two models that were compared differ, or make --exact can't be",
  busy: "another run works on the target, or its other parts aren't done: try again later",
  interrupted: "interrupted by Ctrl-C",
  terminated: "interrupted by SIGTERM",
};

/** One code for each invariant that can be broken, with the exit code it ends in. */
export const EXIT_OF = {
  /** An option that is missing, unknown or makes no sense, or two that don't go together. */
  "bad-usage": EXIT.usage,

  /** A model that is neither on this machine nor named as on the Hub; a file that isn't there. */
  "source-not-found": EXIT.source,
  /** A file that the system doesn't let us read, or that isn't a regular file; too many open files. */
  "source-unreadable": EXIT.source,
  /** A file that was written to while it was read. */
  "source-changed": EXIT.source,

  /** The Hub has no such repository, or doesn't show it without a token. */
  "repository-not-found": EXIT.source,
  /** The repository has no such branch, tag or commit. */
  "revision-not-found": EXIT.source,
  /** The repository asks for a licence to be accepted first. */
  "gated-repository": EXIT.source,
  /** The Hub doesn't take the token, or it holds characters that no token has. */
  "bad-token": EXIT.source,
  /** The Hub can't be reached. */
  "no-network": EXIT.source,
  /** With `offline`: the cache doesn't hold the model whole. */
  "not-in-cache": EXIT.source,
  /** The Hub says that there were too many requests. */
  "rate-limited": EXIT.source,
  /** The Hub answers with an error, or in a way that can't be understood. */
  "hub-failure": EXIT.source,
  /** A file arrived damaged twice, or has another size than the Hub lists. */
  "download-damaged": EXIT.source,
  /** The Hub's cache can't be written. */
  "cache-unwritable": EXIT.source,
  /** A repository lists a file whose name could lead elsewhere. */
  "unsafe-file-name": EXIT.malformed,

  /** A folder without weights, or a checkpoint without a tensor. */
  "no-weights": EXIT.malformed,
  /** A Git LFS pointer in the place of the file. */
  "lfs-pointer": EXIT.malformed,
  /** A web page that was saved under the name of a weights file. */
  "html-page": EXIT.malformed,
  /** A weights file of no bytes. */
  "empty-file": EXIT.malformed,
  /** A file of no format that is read. */
  "unknown-format": EXIT.malformed,
  /** A known format that can't be a base or a delta, such as GGUF. */
  "foreign-format": EXIT.malformed,
  /** A dtype that is unknown, or that nothing can be added in: quantized weights. */
  "unsupported-dtype": EXIT.malformed,
  /** A file that ends before the data it announces. */
  "truncated-file": EXIT.malformed,
  /** A file that goes on after the data it announces. */
  "overlong-file": EXIT.malformed,
  /** Zeros, text or bytes of 0xFF where weights should be. */
  "damaged-weights": EXIT.malformed,
  /** Infinities or NaN in a base or a delta. */
  "not-finite": EXIT.malformed,
  /** A checkpoint, a listing or a tensor's name that is far larger than any model's. */
  "too-large": EXIT.malformed,
  /** A config or tokenizer file that is no JSON, or not what it must be. */
  "bad-json": EXIT.malformed,
  /** A config.json that contradicts the tensors where nothing decides which is right. */
  "config-mismatch": EXIT.malformed,
  /** With `format` GGUF: a model of another architecture than LLaMA's. */
  "foreign-architecture": EXIT.malformed,
  /** With `format` GGUF: a tokenizer that llama.cpp can't have as a LLaMA's. */
  "foreign-tokenizer": EXIT.malformed,
  /** A tokenizer.model that can't be read. */
  "tokenizer-malformed": EXIT.malformed,

  /** A safetensors header longer than the format allows. */
  "header-too-long": EXIT.malformed,
  /** A safetensors header that breaks the format's rules. */
  "header-malformed": EXIT.malformed,
  /** A tensor that is there twice. */
  "duplicate-tensor": EXIT.malformed,
  /** A tensor whose bytes don't match its dtype and shape. */
  "wrong-size": EXIT.malformed,
  /** Bytes of a safetensors file that belong to no tensor. */
  "data-hole": EXIT.malformed,
  /** Bytes of a safetensors file that belong to two tensors. */
  "data-overlap": EXIT.malformed,

  /** A shard index that can't be read. */
  "index-malformed": EXIT.malformed,
  /** A shard that isn't there. */
  "shard-missing": EXIT.malformed,
  /** A shard index that names a file outside its folder. */
  "shard-outside-folder": EXIT.malformed,
  /** A tensor that isn't in the shard which the index names, or of which a part is missing. */
  "tensor-missing-in-shard": EXIT.malformed,
  /** Files that are parts of one checkpoint by their names, and not by what they hold. */
  "parts-differ": EXIT.malformed,

  /** A PyTorch file whose zip breaks the format's rules. */
  "zip-malformed": EXIT.malformed,
  /** A PyTorch file that was compressed. */
  "zip-entry-compressed": EXIT.malformed,
  /** A pickle that can't be read. */
  "pickle-malformed": EXIT.malformed,
  /** A pickle far larger than a state dict needs. */
  "pickle-too-large": EXIT.malformed,
  /** A pickle with an instruction that no state dict needs. Nothing of it was run. */
  "pickle-opcode": EXIT.malformed,
  /** A pickle that names a function or class beyond tensors. Nothing of it was run. */
  "pickle-global": EXIT.malformed,
  /** A PyTorch file that holds something else than tensors by name. */
  "not-a-state-dict": EXIT.malformed,
  /** A tensor whose data isn't in the file. */
  "storage-missing": EXIT.malformed,
  /** Data of another size than the pickle says. */
  "storage-size": EXIT.malformed,
  /** A tensor that reaches beyond its data, or tensors that repeat it without end. */
  "view-out-of-bounds": EXIT.malformed,
  /** A checkpoint that was written on a big-endian machine. */
  "big-endian": EXIT.malformed,

  /** Tensors of one side only that no rule knows. */
  "names-differ": EXIT.mismatch,
  /** Tensors of one name and two shapes that no rule knows. */
  "shapes-differ": EXIT.mismatch,
  /** Base and delta are exchanged. */
  swapped: EXIT.mismatch,
  /** The delta is a whole model, or the base itself. */
  "not-a-delta": EXIT.mismatch,
  /** The base is not the model the delta was made from. */
  "wrong-base": EXIT.mismatch,

  /** The folder to make is there already. */
  "target-exists": EXIT.target,
  /** Another run is making the folder. */
  "target-busy": EXIT.busy,
  /** Parts of the target aren't done. */
  "parts-missing": EXIT.busy,
  /** Parts of a target that were begun from other models, with other options or by another version. */
  "target-differs": EXIT.target,
  /** The folder to make lies in a model that is read, or around it. */
  "target-overlaps-source": EXIT.target,
  /** The folder to make can't be written. */
  "target-unwritable": EXIT.target,
  /** The disk is full, or hasn't room for what would be made. */
  "no-space": EXIT.target,
  /** The command line can't write its result, to stdout or to the file that was named. */
  "result-unwritable": EXIT.target,

  /** Sending to the Hub takes a token, and there is none. */
  "no-upload-token": EXIT.target,
  /** The Hub doesn't accept the token that was to send. */
  "upload-token-refused": EXIT.target,
  /** The token, or its account, may not write to the repository. */
  "upload-denied": EXIT.target,
  /** The repository holds another model, and `overwrite` wasn't asked for. */
  "repository-occupied": EXIT.target,
  /** The repository is public, and `private` was asked for. */
  "repository-public": EXIT.target,
  /** The Hub can't be reached to send to it, or the connection breaks off. */
  "upload-unreachable": EXIT.target,
  /** The Hub says that there were too many requests to send. */
  "upload-rate-limited": EXIT.target,
  /** The Hub doesn't take what is sent, or answers in a way that can't be understood. */
  "upload-failed": EXIT.target,

  /** With `verifyDelta`: the delta is not as it was published. */
  "delta-altered": EXIT.verification,
  /** With `verifyBase`: the base is not as its list of checksums says. */
  "base-altered": EXIT.verification,
  /** With `exact`: applying the delta wouldn't give the tuned model back bit for bit. */
  "not-restorable": EXIT.verification,
  /** `vicuna-apply-delta.json` or `SHA256SUMS` is not as it was written. */
  "record-malformed": EXIT.verification,
  /** With `verify`: what was written isn't what was read back; there is no target. */
  "target-altered": EXIT.verification,

  /** The call was stopped. */
  interrupted: EXIT.interrupted,
} as const satisfies Record<string, number>;

/** Which invariant was broken: a key of `EXIT_OF`. */
export type ErrorCode = keyof typeof EXIT_OF;
