import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { ApplyDeltaError } from "../errors.js";
import { onSource, sourceExists } from "../files/local-file.js";
import { firstFew } from "../units.js";
import { XOR_CURE } from "./detect.js";
import { chooseParts, HUB_FOLDERS, splitFormatOf } from "./find-parts.js";
import { chooseGguf, ggufParts, isGgufName } from "./gguf/find-gguf.js";
import { FORMATS, INDEX_SUFFIX, SOURCE_FORMATS } from "./table.js";

/** The choice among a folder's names. */
interface ChosenWeights {
  /** The shard index, or null. */
  readonly index: string | null;
  /** The weights files where there is no index, in order. */
  readonly files: readonly string[];
  /** Lines for the user: a choice that was made between several candidates. */
  readonly notes: readonly string[];
}

/** Index and files are paths here. */
export interface FoundWeights extends ChosenWeights {
  /** The folder that holds weights, config and tokenizer. */
  readonly folder: string;
}

/** Files that live beside weights and are not weights, though their names end alike. */
const NOT_WEIGHTS =
  /^(?:training_args|optimizer|scheduler|rng_state|scaler|trainer_state|adapter_model|consolidated|tokenizer|ggml-)/;

/**
 * Finds the weights the way transformers does: safetensors before PyTorch, one file before an index; then, where
 * neither is there, all files of one kind in order of their names; then the parts of one checkpoint, also where the
 * path is one of them.
 * Errors: `source-not-found`, `source-unreadable`, `no-weights`, `shard-missing`.
 */
export function findWeights(path: string, acceptsGguf = true): FoundWeights {
  if (!onSource(path, () => statSync(path)).isDirectory()) {
    if (splitFormatOf(path) !== null) return findWeights(dirname(path));
    const isIndex = path.endsWith(INDEX_SUFFIX);
    const parts = ggufParts(basename(path)).map((name) => join(dirname(path), name));
    return {
      folder: dirname(path),
      index: isIndex ? path : null,
      files: isIndex ? [] : parts.length > 1 ? parts : [path],
      notes: [],
    };
  }
  const names = onSource(path, () => readdirSync(path)).sort();
  const chosen = chooseWeights(names, path) ?? (acceptsGguf ? ggufIn(names, path) : null);
  if (chosen === null) throw noWeights(path, names);
  const { index, files, notes } = chosen;
  return {
    folder: path,
    index: index === null ? null : join(path, index),
    files: files.map((name) => join(path, name)),
    notes,
  };
}

/** The one GGUF of a folder without other weights; null where there is none. Errors: `no-weights`, `shard-missing`. */
function ggufIn(names: readonly string[], folder: string): ChosenWeights | null {
  const files = chooseGguf(names, folder);
  if (files === null) return null;
  checkShardCount(folder, names.filter(isGgufName));
  return { index: null, files, notes: [] };
}

/** Null where no name is a weights file's. `folder` is for notes and errors. Errors: `shard-missing`. */
export function chooseWeights(names: readonly string[], folder: string): ChosenWeights | null {
  const notes: string[] = [];
  for (const { title, fileName: single, endings } of SOURCE_FORMATS) {
    const index = single + INDEX_SUFFIX;
    const globbed = names.filter((name) => isWeights(name, endings));
    if (globbed.length === 0 && !names.includes(index)) continue;
    const others = SOURCE_FORMATS.find(
      (format) => format.fileName !== single && names.some((name) => isWeights(name, format.endings)),
    );
    if (others !== undefined)
      notes.push(`${folder} holds ${title} and ${others.title} weights; the ${title} were read.`);
    if (names.includes(single)) {
      if (names.includes(index))
        notes.push(`${folder} holds ${single} and an index; ${single} was read, as transformers does.`);
      return { index: null, files: [single], notes };
    }
    if (names.includes(index)) return { index, files: [], notes };
    checkShardCount(folder, globbed);
    // Numbers by value: `pytorch_model-2.bin` before `pytorch_model-10.bin`.
    const files = globbed.sort(new Intl.Collator("en", { numeric: true }).compare);
    return { index: null, files, notes };
  }
  const parts = chooseParts(names, folder);
  return parts === null ? null : { index: null, files: parts, notes };
}

/** Whether any of a folder's names is a weights file's. */
export function holdsWeights(names: readonly string[]): boolean {
  return names.some(
    (name) =>
      splitFormatOf(name) !== null || Object.values(FORMATS).some(({ endings }) => isWeights(name, endings)),
  );
}

/** What of a repository's files a model is made of; all are paths from its top folder. */
interface RepositoryWeights extends ChosenWeights {
  /** Files beside the weights that their layout needs. */
  readonly companions: readonly string[];
  /** Whether only whole models are stored like that. */
  readonly isWhole: boolean;
}

/**
 * The weights in a repository's top folder, or else in the one where Meta's files lie beside a converted model. Null
 * where there are none. Errors: `shard-missing`.
 */
export function chooseInRepository(names: readonly string[], repository: string): RepositoryWeights | null {
  const inFolder = (prefix: string) =>
    names.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
  for (const prefix of ["", ...HUB_FOLDERS.map((folder) => `${folder}/`)]) {
    const inside = inFolder(prefix).filter((name) => !name.includes("/"));
    const chosen = chooseWeights(inside, join(repository, prefix));
    if (chosen === null) continue;
    const withPrefix = (some: readonly string[]) => some.map((name) => prefix + name);
    const companions = splitFormatOf(chosen.files[0] ?? "")?.companions ?? null;
    return {
      ...chosen,
      files: withPrefix(chosen.files),
      companions: withPrefix((companions ?? []).filter((name) => inside.includes(name))),
      isWhole: companions !== null,
    };
  }
  return null;
}

/** Whether a file of this name holds weights that a loader would read. */
export function isWeights(name: string, endings: readonly string[]): boolean {
  return endings.some((ending) => name.endsWith(ending)) && !name.startsWith(".") && !NOT_WEIGHTS.test(name);
}

/** Where names say `00001-of-00003`, all three must be there. */
function checkShardCount(folder: string, names: readonly string[]): void {
  const present = new Set(names);
  for (const name of names) {
    const [, stem, count, ending] = /^(.*)-\d{5}-of-(\d{5})(\.[a-z]+)$/.exec(name) ?? [];
    const nameOf = (number: number) => `${stem}-${String(number).padStart(5, "0")}-of-${count}${ending}`;
    const shards = Array.from({ length: Number(count ?? 0) }, (_, i) => nameOf(i + 1));
    const missing = shards.filter((shard) => !present.has(shard));
    if (missing[0] === undefined) continue;
    throw new ApplyDeltaError("shard-missing", "A shard is missing from the folder.", {
      file: join(folder, missing[0]),
      expected: `${shards.length} shards`,
      got: `${shards.length - missing.length}`,
      hint: "The download did not finish: fetch the missing shard.",
    });
  }
}

/** What programs that download leave beside a file, or call it, until it is whole. */
const UNFINISHED_ENDINGS = [".aria2", ".part", ".crdownload", ".!qB", ".incomplete", ".download", ".tmp"];

/** Refuses a file whose download is under way: many programs allocate it first. Errors: `truncated-file`. */
export function refuseUnfinished(path: string): void {
  const trace = UNFINISHED_ENDINGS.map((ending) => path + ending).find((beside) => existsSync(beside));
  if (trace === undefined) return;
  throw new ApplyDeltaError("truncated-file", "The download of a weights file has not finished.", {
    file: path,
    got: `${basename(trace)} beside it`,
    hint: `Let the download finish, then run this again. If it has finished, remove ${basename(trace)}.`,
  });
}

const QUANTIZED =
  "Give the Hugging Face checkpoint in float16 it was made from; a quantized model can't take a delta.";

/** What a folder without usable weights turns out to be, the surest clue first. */
const CLUES: readonly (readonly [pattern: RegExp, what: string, hint: string])[] = [
  [/\.gguf$/, "a llama.cpp model (GGUF)", QUANTIZED],
  [/^ggml-.*\.bin$/, "a llama.cpp model (GGML)", QUANTIZED],
  [
    /^adapter_(?:model\.|config\.json)/,
    "a LoRA adapter (PEFT), which is not a delta",
    "Merge it with peft's merge_and_unload; this tool applies full deltas.",
  ],
  [
    /^(?:tf_model.*\.h5|flax_model.*\.msgpack)$/,
    "TensorFlow or Flax weights only",
    "Give the PyTorch or safetensors version of the model.",
  ],
  [
    /\.(?:aria2|part|crdownload|!qB|incomplete|download|tmp)$/,
    "an unfinished download",
    "Let the download finish, then run this again.",
  ],
  [
    /^(?:xor_codec\.py|.*[.-]xor)$/,
    "an XOR release, which is not a delta",
    `${XOR_CURE} The result is a complete model.`,
  ],
  [
    /\.enc$/,
    "encrypted weights (*.enc), which are not a delta",
    "Decrypt them with the release's own script and the original LLaMA. The result is a complete model: use it as it is.",
  ],
  [
    /^(?:zero_to_fp32\.py|global_step\d+)$/,
    "a checkpoint of DeepSpeed ZeRO, shared out over processes",
    "Run `python zero_to_fp32.py . pytorch_model.bin` in that folder, then run this again.",
  ],
  [
    /\.ckpt$/,
    "a training checkpoint (*.ckpt)",
    "Save its model with transformers' save_pretrained, and give the folder that makes.",
  ],
  [/\.(?:zip|7z|rar|tar|tgz|gz|zst)$/, "an archive", "Unpack it, and give the folder that makes."],
];

const FOLDER_WORDS = {
  what: "folder",
  hint: "Check that the weights were downloaded: config and tokenizer alone are not a model.",
};

/**
 * The error for names among which there are no weights: what they are instead. `words`: what has the names, and what
 * to do if they tell nothing.
 */
export function noWeights(folder: string, names: readonly string[], words = FOLDER_WORDS): ApplyDeltaError {
  const [, clue = null, cure = words.hint] =
    CLUES.find(([pattern]) => names.some((name) => pattern.test(name))) ?? [];
  const inside = words === FOLDER_WORDS ? names.filter((name) => folderHoldsWeights(join(folder, name))) : [];
  const shown = firstFew(names, 8) || "nothing";
  let hint = cure;
  if (clue === null && inside.length === 1) hint = `Did you mean ${join(folder, inside[0] as string)}?`;
  if (clue === null && inside.length > 1) {
    const paths = inside.slice(0, 8).map((name) => join(folder, name));
    hint = `Give one of the models inside: ${paths.join(", ")}.`;
  }
  const snapshot = snapshotOf(folder, names);
  if (snapshot !== null) hint = `This is a model's folder in the Hub's cache: give ${snapshot}.`;
  const what = `The ${words.what} holds ${clue ?? "no weights"}.`;
  const expected = "*.safetensors or pytorch_model*.bin";
  return new ApplyDeltaError("no-weights", what, { file: folder, expected, got: shown, hint });
}

function folderHoldsWeights(path: string): boolean {
  try {
    return holdsWeights(readdirSync(path));
  } catch {
    return false; // Not a folder, or not ours to look into: no hint then.
  }
}

/** The first snapshot of a `models--owner--name` folder of the Hub's cache, or null. */
function snapshotOf(folder: string, names: readonly string[]): string | null {
  const snapshots = join(folder, "snapshots");
  if (!basename(folder).startsWith("models--") || !names.includes("snapshots") || !sourceExists(snapshots))
    return null;
  const first = onSource(snapshots, () => readdirSync(snapshots))[0];
  return first === undefined ? null : join(snapshots, first);
}
