import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { Budget } from "../budget.js";
import { ApplyDeltaError, isApplyDeltaError } from "../errors.js";
import { onSource, openLocalFile } from "../files/local-file.js";
import { noPause, type Pause } from "../interrupt.js";
import { inStateDictOrder } from "../llama/tensor-names.js";
import type { OpenFile, TensorView } from "../tensor.js";
import { detectFormat, refuseZeros, SNIFF_BYTES } from "./detect.js";
import { type FoundWeights, findWeights, refuseUnfinished } from "./find-weights.js";
import { HeaderReader } from "./header-reader.js";
import { readShardIndex, type ShardIndex } from "./shard-index.js";
import { type CheckpointFormat, FORMATS } from "./table.js";

export interface Checkpoint {
  /** The path the user gave. */
  readonly path: string;
  /** Where config and tokenizer lie. */
  readonly folder: string;
  /** The formats of the weights files; nearly always one. */
  readonly formats: readonly CheckpointFormat[];
  readonly files: readonly OpenFile[];
  /** All tensors, in state-dict order. */
  readonly tensors: readonly TensorView[];
  /** Lines for the user. */
  readonly notes: readonly string[];
  /** Closes the files. */
  close(): void;
}

/** Weights that lie elsewhere than the folder with all the rest. */
export interface RemoteWeights {
  /** Path of the shard index on this machine, or null. */
  readonly index: string | null;
  /** Names of the weights files where there is no index, in order. */
  readonly names: readonly string[];
  open(name: string): OpenFile;
}

/**
 * Opens a folder, a weights file or a shard index, reading headers only, with a pause before each read; or the folder
 * `path` with weights elsewhere. The caller closes the result; nothing stays open when it throws.
 */
export async function openCheckpoint(
  path: string,
  pause: Pause = noPause,
  remote: RemoteWeights | null = null,
): Promise<Checkpoint> {
  const found: FoundWeights =
    remote === null
      ? findWeights(path)
      : { folder: path, index: remote.index, files: remote.names.map((name) => join(path, name)), notes: [] };
  const open = (file: string) => (remote === null ? openLocalFile(file, pause) : remote.open(basename(file)));
  const files: OpenFile[] = [];
  const close = () => {
    for (const file of files.splice(0)) file.close();
  };
  try {
    const notes = [...found.notes];
    const budget = new Budget();
    const index = found.index === null ? null : await readIndex(found.index, pause, budget);
    const paths = index === null ? found.files : index.shards.map((shard) => join(found.folder, shard));
    budget.spend("files", paths.length, path);
    const formats = new Set<CheckpointFormat>();
    const tensors = new Map<string, TensorView>();
    for (const shardPath of paths) {
      if (remote === null) refuseUnfinished(shardPath);
      const file = index === null ? open(shardPath) : openShard(shardPath, found.folder, index, open);
      files.push(file);
      const format = await detectFormat(file);
      formats.add(format);
      for (const tensor of await FORMATS[format].read(new HeaderReader(file, budget, pause))) {
        const earlier = tensors.get(tensor.name);
        if (earlier !== undefined) {
          throw new ApplyDeltaError(
            "duplicate-tensor",
            "A tensor is in two weights files of one checkpoint.",
            {
              file: file.path,
              tensor: tensor.name,
              got: `also in ${earlier.pieces[0].file.path}`,
              hint: "Shards of two models are mixed in the folder: keep those of one.",
            },
          );
        }
        tensors.set(tensor.name, tensor);
      }
    }
    if (index !== null) notes.push(...compareWithIndex(found.index ?? "", index, tensors));
    if (tensors.size === 0) {
      throw new ApplyDeltaError("no-weights", "The checkpoint holds no tensor.", {
        file: path,
        hint: "Give the folder of a whole model.",
      });
    }
    const ordered = inOrder([...tensors.values()], [...formats]);
    return { path, folder: found.folder, formats: [...formats], files, tensors: ordered, notes, close };
  } catch (error) {
    close();
    throw error;
  }
}

/** Tensors in state-dict order, which some formats keep; of the others the names tell it. */
export function inOrder(
  tensors: readonly TensorView[],
  formats: readonly CheckpointFormat[],
): readonly TensorView[] {
  return formats.every((format) => FORMATS[format].keepsOrder) ? tensors : inStateDictOrder(tensors);
}

/** What came of files over the network until now, in all. */
export function bytesFetchedOf(sides: readonly Pick<Checkpoint, "files">[]): number {
  return sides.flatMap(({ files }) => files).reduce((sum, file) => sum + file.bytesFetched(), 0);
}

export async function readIndex(
  path: string,
  pause: Pause = noPause,
  budget = new Budget(),
): Promise<ShardIndex> {
  const file = openLocalFile(path, pause);
  try {
    refuseZeros(file, await file.read(0, Math.min(file.byteLength, SNIFF_BYTES)));
    return await readShardIndex(new HeaderReader(file, budget, pause));
  } finally {
    file.close();
  }
}

function openShard(
  path: string,
  folder: string,
  index: ShardIndex,
  open: (path: string) => OpenFile,
): OpenFile {
  try {
    return open(path);
  } catch (error) {
    if (!isApplyDeltaError(error, "source-not-found")) throw error;
    const present = new Set(onSource(folder, () => readdirSync(folder)));
    const missing = index.shards.filter((shard) => !present.has(shard));
    throw new ApplyDeltaError("shard-missing", "A shard that the index names is missing.", {
      file: path,
      expected: `${index.shards.length} shards`,
      got: `${index.shards.length - missing.length}; missing: ${missing.slice(0, 10).join(", ")}`,
      hint: "The download did not finish: fetch the missing shards.",
      cause: error,
    });
  }
}

/** Every tensor of the index must be in its shard. Tensors the index leaves out are read, and named. */
function compareWithIndex(
  indexPath: string,
  index: ShardIndex,
  tensors: ReadonlyMap<string, TensorView>,
): string[] {
  for (const [name, shard] of index.shardOf) {
    const got = tensors.get(name);
    const holder = got === undefined ? null : basename(got.pieces[0].file.path);
    if (holder === shard) continue;
    const message = "A tensor is not in the shard the index names for it.";
    throw new ApplyDeltaError("tensor-missing-in-shard", message, {
      file: indexPath,
      tensor: name,
      expected: shard,
      got: holder ?? "in no shard",
      hint: "Index and shards are not of one model: download both again.",
    });
  }
  const extra = [...tensors.keys()].filter((name) => !index.shardOf.has(name));
  if (extra.length === 0) return [];
  const shown = extra.slice(0, 3).join(", ") + (extra.length > 3 ? ", …" : "");
  const [count, were] =
    extra.length === 1 ? ["1 tensor", "it was"] : [`${extra.length} tensors`, "they were"];
  return [`${basename(indexPath)} leaves out ${count} that its shards hold (${shown}); ${were} read.`];
}
