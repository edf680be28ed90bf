import { basename, dirname } from "node:path";
import { ApplyDeltaError } from "../errors.js";
import type { RandomAccessFile } from "../tensor.js";
import { startsWith } from "./format.js";
import { type CheckpointFormat, FORMATS } from "./table.js";

export const SNIFF_BYTES = 512;

/** Formats that can be told by their first bytes and that no delta is made in. */
const FOREIGN: readonly (readonly [matches: (head: Buffer) => boolean, what: string, hint: string])[] = [
  [
    (head) => ["lmgg", "tjgg", "fmgg", "algg"].includes(head.toString("latin1", 0, 4)),
    "a GGML file of an old llama.cpp",
    "Deltas are made against the Hugging Face checkpoint in float16: give that one.",
  ],
  [
    (head) => startsWith(head, "\x89HDF"),
    "an HDF5 file (TensorFlow or Keras weights)",
    "Give the folder's safetensors or PyTorch weights instead.",
  ],
  [
    (head) => startsWith(head, "\x93NUMPY"),
    "a NumPy array file",
    "Give the model in safetensors or as PyTorch weights.",
  ],
  [
    (head) => startsWith(head, "\x1f\x8b") || head.toString("latin1", 257, 262) === "ustar",
    "an archive (gzip or tar)",
    "Unpack it first and give the folder inside.",
  ],
];

/** Refuses a GGUF where a base or a delta is read. Errors: `foreign-format`. */
export function refuseGguf({ path }: RandomAccessFile): never {
  const message = "This is a GGUF of llama.cpp, which can't be a base or a delta.";
  throw new ApplyDeltaError("foreign-format", message, {
    file: path,
    hint: "Give the Hugging Face checkpoint in float16 that it was made from; --format gguf makes a GGUF of the sum.",
  });
}

/** What to do about files that were published as the difference by XOR from LLaMA's. */
export const XOR_CURE =
  "If it is of an XOR release (OpenAssistant's), decode it with that release's xor_codec.py and the original LLaMA.";

/** Fewer zeros can begin a file by chance. */
const FEWEST_ZEROS = 16;

/** Refuses a file that begins with zeros, where every format has its name. Errors: `unknown-format`. */
export function refuseZeros(file: RandomAccessFile, head: Uint8Array): void {
  if (head.length < FEWEST_ZEROS || head.subarray(0, FEWEST_ZEROS).some((byte) => byte !== 0)) return;
  throw new ApplyDeltaError("unknown-format", "The file begins with zeros, as no model's file does.", {
    file: file.path,
    expected: "the first bytes of a weights file or of its index",
    got: `first bytes ${"0".repeat(FEWEST_ZEROS)}`,
    hint: `${XOR_CURE} Otherwise its download has not finished: some programs allocate a file first.`,
  });
}

/**
 * Tells a file's format by its first bytes, whatever its name.
 * Errors: `empty-file`, `lfs-pointer`, `html-page`, `foreign-format`, `unknown-format`.
 */
export async function detectFormat(file: RandomAccessFile): Promise<CheckpointFormat> {
  if (file.byteLength === 0) {
    throw new ApplyDeltaError("empty-file", "The weights file is empty.", {
      file: file.path,
      hint: "The download or copy did not finish: fetch the file again.",
    });
  }
  const bytes = await file.read(0, Math.min(SNIFF_BYTES, file.byteLength));
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const formats = Object.keys(FORMATS) as CheckpointFormat[];
  const format = formats.find((name) => FORMATS[name].matches(head));
  if (format !== undefined) return format;
  refuseForeign(file, head);
  const likely = formats.find((name) => FORMATS[name].resembles?.(head, file.path));
  if (likely !== undefined) return likely;
  if (/\.(?:json|jsonl|txt|md|py|model|jinja)$/.test(file.path)) {
    throw new ApplyDeltaError("unknown-format", `${basename(file.path)} holds no weights.`, {
      file: file.path,
      hint: `Give the model's folder: ${dirname(file.path)}.`,
    });
  }
  const message = "This is neither a safetensors file nor a PyTorch checkpoint.";
  throw new ApplyDeltaError("unknown-format", message, {
    file: file.path,
    expected: "safetensors, a PyTorch zip checkpoint, or a PyTorch stream of before 1.6",
    got: `first bytes ${head.subarray(0, 8).toString("hex")}`,
    hint: "The file is damaged or of another kind: download it again, or give another file.",
  });
}

/** Says what a file is that holds no weights, or another program's. */
function refuseForeign(file: RandomAccessFile, head: Buffer): void {
  if (startsWith(head, "version https://git-lfs")) {
    const size = /^size (\d+)$/m.exec(head.toString("latin1"))?.[1];
    throw new ApplyDeltaError("lfs-pointer", "This is a Git LFS pointer, not the weights themselves.", {
      file: file.path,
      ...(size === undefined ? {} : { expected: `${size} bytes of weights` }),
      got: `a pointer of ${file.byteLength} bytes`,
      hint: "Run `git lfs install && git lfs pull` in the model's folder, or use hf download.",
    });
  }
  if (/^\s*<(?:!doctype html|html|head|\?xml)/i.test(head.toString("latin1"))) {
    throw new ApplyDeltaError("html-page", "This is a web page saved under the name of a weights file.", {
      file: file.path,
      hint: "Use the file's download link (…/resolve/main/…, not …/blob/main/…), or hf download.",
    });
  }
  refuseZeros(file, head);
  const [, what, hint = ""] = FOREIGN.find(([matches]) => matches(head)) ?? [];
  if (what === undefined) return;
  const message = `This is ${what}, which can't be a base or a delta.`;
  throw new ApplyDeltaError("foreign-format", message, { file: file.path, hint });
}
