import { readdirSync } from "node:fs";
import { basename, dirname, join, relative, sep } from "node:path";
import { Budget } from "../budget.js";
import { ApplyDeltaError, isApplyDeltaError, isDamage } from "../errors.js";
import { onSource, openLocalFile, sourceExists } from "../files/local-file.js";
import { noPause, type Pause } from "../interrupt.js";
import type { ModelConfig } from "../llama/documents.js";
import { TOKENIZER_MODEL } from "../llama/file-names.js";
import { configOfKeys } from "../llama/gguf/config.js";
import { ggufNameOf } from "../llama/gguf/tensor-names.js";
import { readModelConfig } from "../llama/model-config.js";
import { inStateDictOrder, LM_HEAD } from "../llama/tensor-names.js";
import type { OpenFile, TensorView } from "../tensor.js";
import { firstFew, sumOf } from "../units.js";
import { detectFormat, refuseGguf, refuseZeros, SNIFF_BYTES } from "./detect.js";
import { checklistBeside, describeChecklist, findInnerParts } from "./find-parts.js";
import { type FoundWeights, findWeights, refuseUnfinished } from "./find-weights.js";
import type { Part, Parts } from "./format.js";
import { readGgufKeys } from "./gguf/keys.js";
import { HeaderReader } from "./header-reader.js";
import { readShardIndex, type ShardIndex } from "./shard-index.js";
import {
  type CheckpointFormat,
  FORMATS,
  keepsOrder,
  SPLIT_FORMATS,
  type SplitLayout,
  type StoredFormat,
} from "./table.js";

export interface Checkpoint {
  /** The path the user gave. */
  readonly path: string;
  /** Where config and tokenizer lie. */
  readonly folder: string;
  /** The formats of the weights files, nearly always one; or the layout of tensors over them. */
  readonly formats: readonly StoredFormat[];
  readonly files: readonly OpenFile[];
  /** All tensors, in state-dict order. */
  readonly tensors: readonly TensorView[];
  /** What the weights' own files say of the model; null where only a config.json may. */
  readonly config: ModelConfig | null;
  /** The path of a list of the files' checksums, as md5sum writes it, or null. */
  readonly checklist: string | null;
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
  /** Names of the weights files that the folder lacks. */
  readonly absent: readonly string[];
  open(name: string): OpenFile;
}

export interface OpenOptions {
  /** Before each read. */
  readonly pause?: Pause;
  readonly remote?: RemoteWeights | null;
  /** The tensors of the model beside which it is used: they choose among the sizes in a folder. */
  readonly like?: (() => Promise<readonly TensorView[]>) | null;
  /** Whether it may be a GGUF, which no base or delta can be; default true. */
  readonly acceptsGguf?: boolean;
}

/**
 * Opens a folder, a weights file or a shard index, reading headers only; or the folder `path` with weights elsewhere.
 * The caller closes the result; nothing stays open when it throws.
 */
export async function openCheckpoint(path: string, options: OpenOptions = {}): Promise<Checkpoint> {
  const { pause = noPause, remote = null, acceptsGguf = true } = options;
  const found = remote === null ? await findLocal(path, options) : foundRemote(path, remote);
  const open = (file: string) =>
    remote === null ? openLocalFile(file, pause) : remote.open(relative(path, file).replaceAll(sep, "/"));
  const files: OpenFile[] = [];
  const close = () => {
    for (const file of files.splice(0)) file.close();
  };
  try {
    const budget = new Budget();
    const index = found.index === null ? null : await readIndex(found.index, pause, budget);
    const paths = index === null ? found.files : index.shards.map((shard) => join(found.folder, shard));
    budget.spend("files", paths.length, path);
    const formats = new Set<CheckpointFormat>();
    const parts: Part[] = [];
    for (const shardPath of paths) {
      if (remote === null) refuseUnfinished(shardPath);
      const file = index === null ? open(shardPath) : openShard(shardPath, found.folder, index, open);
      files.push(file);
      const header = new HeaderReader(file, budget, pause);
      const { format, part } = await readPart(header, shardPath, acceptsGguf);
      formats.add(format);
      parts.push(part);
    }
    const opened = { path, files, close };
    const notes = [...found.notes];
    const layout = layoutOf(parts);
    if (layout !== null) return { ...opened, ...(await assemble(layout, parts as [Part], paths)), notes };
    const tensors = tensorsByName(parts);
    if (index !== null) notes.push(...compareWithIndex(found.index ?? "", index, tensors));
    if (tensors.size === 0) {
      throw new ApplyDeltaError("no-weights", "The checkpoint holds no tensor.", {
        file: path,
        hint: "Give the folder of a whole model.",
      });
    }
    return {
      ...opened,
      folder: found.folder,
      formats: [...formats],
      tensors: inOrder([...tensors.values()], [...formats]),
      config: formats.has("gguf") ? await configOfGguf(parts) : null,
      checklist: null,
      notes,
    };
  } catch (error) {
    close();
    throw error;
  }
}

async function findLocal(path: string, { like = null, acceptsGguf }: OpenOptions): Promise<FoundWeights> {
  try {
    return findWeights(path, acceptsGguf);
  } catch (error) {
    if (!isApplyDeltaError(error, "no-weights")) throw error;
    const inner = await findInnerParts(path, like);
    if (inner === null) throw error;
    return { ...findWeights(inner.path), notes: [inner.note] };
  }
}

/** What the keys say; a model without a head of its own shares the embedding's. */
async function configOfGguf(parts: readonly Part[]): Promise<ModelConfig> {
  const [keys = []] = await readGgufKeys(parts.map(({ file }) => file));
  const hasHead = parts.some(({ tensors }) => tensors.some(({ name }) => name === ggufNameOf(LM_HEAD)));
  return configOfKeys(keys, hasHead);
}

function foundRemote(path: string, { index, names }: RemoteWeights): FoundWeights {
  return { folder: path, index, files: names.map((name) => join(path, name)), notes: [] };
}

/** `path` is the file's place on this machine, or would be. */
async function readPart(
  header: HeaderReader,
  path: string,
  acceptsGguf: boolean,
): Promise<{ format: CheckpointFormat; part: Part }> {
  const { file } = header;
  try {
    const format = await detectFormat(file);
    if (format === "gguf" && !acceptsGguf) refuseGguf(file);
    return { format, part: { file, tensors: await FORMATS[format].read(header) } };
  } catch (error) {
    const checklist = checklistBeside(path);
    if (checklist === null || !isApplyDeltaError(error) || !isDamage(error)) throw error;
    const hint = `${error.details.hint ?? ""} ${describeChecklist(checklist)}`.trim();
    throw new ApplyDeltaError(error.code, error.message, { ...error.details, hint });
  }
}

/** The layout that the files' tensors have by their names; null where each file has whole tensors. */
function layoutOf(parts: readonly Part[]): SplitLayout | null {
  const names = parts.map(({ tensors }) => new Set(tensors.map(({ name }) => name)));
  const layouts = Object.keys(SPLIT_FORMATS) as SplitLayout[];
  return layouts.find((layout) => names.some(SPLIT_FORMATS[layout].matches)) ?? null;
}

/** `paths`: where the files are on this machine, or would be. */
async function assemble(layout: SplitLayout, parts: Parts, paths: readonly string[]) {
  const folder = dirname(paths[0] ?? "");
  const { tensors, config } = await SPLIT_FORMATS[layout].assemble(parts, folder);
  // Meta's downloads have one tokenizer for all sizes, a folder further up.
  const hasTokenizer = (at: string) => sourceExists(join(at, TOKENIZER_MODEL));
  return {
    folder: [folder, dirname(folder)].find(hasTokenizer) ?? folder,
    formats: [layout],
    tensors: inStateDictOrder(tensors),
    config,
    checklist: checklistBeside(paths[0] ?? ""),
  };
}

function tensorsByName(parts: readonly Part[]): Map<string, TensorView> {
  const tensors = new Map<string, TensorView>();
  for (const { file, tensors: ofFile } of parts) {
    for (const tensor of ofFile) {
      const earlier = tensors.get(tensor.name);
      if (earlier !== undefined) {
        throw new ApplyDeltaError("duplicate-tensor", "A tensor is in two weights files of one checkpoint.", {
          file: file.path,
          tensor: tensor.name,
          got: `also in ${earlier.pieces[0].file.path}`,
          hint: "Shards of two models are mixed in the folder: keep those of one.",
        });
      }
      tensors.set(tensor.name, tensor);
    }
  }
  return tensors;
}

/** Tensors in state-dict order, which some formats keep; of the others the names tell it. */
export function inOrder(
  tensors: readonly TensorView[],
  formats: readonly StoredFormat[],
): readonly TensorView[] {
  return formats.every(keepsOrder) ? tensors : inStateDictOrder(tensors);
}

/** The model's config: what its weights' own files say, or its config.json. Errors: those of `readModelConfig`. */
export function configOf({ config, folder }: Pick<Checkpoint, "config" | "folder">): ModelConfig | null {
  return config ?? readModelConfig(folder);
}

/** What came of files over the network until now, in all. */
export function bytesFetchedOf(sides: readonly Pick<Checkpoint, "files">[]): number {
  return sumOf(
    sides.flatMap(({ files }) => files),
    (file) => file.bytesFetched(),
  );
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
  const shown = firstFew(extra, 3);
  const [count, were] =
    extra.length === 1 ? ["1 tensor", "it was"] : [`${extra.length} tensors`, "they were"];
  return [`${basename(indexPath)} leaves out ${count} that its shards hold (${shown}); ${were} read.`];
}
