/** Whether index, config and tokenizer fit the tensors. Reads small files only. */
import { readdirSync } from "node:fs";
import { basename, extname } from "node:path";
import { onSource } from "../files/local-file.js";
import { findWeights, isWeights } from "../formats/find-weights.js";
import { type Checkpoint, readIndex } from "../formats/open.js";
import { formatTitles } from "../formats/table.js";
import type { Pause } from "../interrupt.js";
import type { ModelConfig } from "../llama/documents.js";
import { readModelConfig } from "../llama/model-config.js";
import {
  embeddingOf,
  expectedTensors,
  isLlavaProjector,
  isRotaryBuffer,
  LM_HEAD,
} from "../llama/tensor-names.js";
import { readTokenizerState } from "../llama/tokenizer-state.js";
import { byteLengthOf, type DType, isFloatDType, type TensorView, TORCH_NAMES } from "../tensor.js";
import { formatBytes, plural, sumOf } from "../units.js";
import type { Check } from "./documents.js";
import { compareByName, failed, judged, listFaults, ok, shapesOf, skipped } from "./outcome.js";

/** That it could be opened says that headers and sizes are right; a file too many is seen here. */
export function checkWeights(target: Checkpoint): Check {
  const { folder, files } = target;
  const read = new Set(files.map(({ path }) => basename(path)));
  const endings = [...new Set([...read].map((name) => extname(name)))];
  const strays = onSource(folder, () => readdirSync(folder))
    .filter((name) => isWeights(name, endings) && !read.has(name))
    .sort();
  const faults = strays.map((name) => `${name} isn't part of the model, but some loaders would read it`);
  return judgeWeights(target, faults);
}

/** A checkpoint that could be opened: its headers and sizes are right. */
export function judgeWeights({ files, formats, tensors }: Checkpoint, faults: readonly string[]): Check {
  const bytes = sumOf(files, ({ byteLength }) => byteLength);
  const where = `${formatBytes(bytes)} in ${plural(files.length, "file")} (${formatTitles(formats)})`;
  const detail = `${plural(tensors.length, "tensor")}, ${where}: headers and sizes are right`;
  return judged("weights", faults, detail);
}

/** That it could be opened says that every tensor of the index is in its shard. */
export async function checkIndex({ path, tensors }: Checkpoint): Promise<Check> {
  const { index: indexPath } = findWeights(path);
  if (indexPath === null) return skipped("index", "there is no shard index");
  const { shardOf, shards, totalBytes } = await readIndex(indexPath);
  const data = sumOf(tensors, byteLengthOf);
  const missing = tensors.filter(({ name }) => !shardOf.has(name)).map(({ name }) => `${name} is left out`);
  // Tensors of a PyTorch file may share their data, which some programs count once.
  const isWrong = totalBytes !== null && totalBytes !== data;
  const wrong = isWrong ? [`total_size is ${totalBytes}, the tensors have ${data} bytes`] : [];
  if (missing.length + wrong.length > 0) return failed("index", [...missing, ...wrong]);
  return ok("index", `${plural(shardOf.size, "tensor")} in ${plural(shards.length, "shard")}`);
}

export function checkConfig({ folder, tensors }: Checkpoint): Check {
  const config = readModelConfig(folder);
  if (config === null) return skipped("config", "there is no config.json");
  const expected = expectedTensors(config);
  const faults = configFaults(config, tensors);
  if (faults.length > 0) return failed("config", faults);
  const architecture = config.architectures.join(", ") || "no architecture named";
  if (expected === null) return ok("config", `${architecture}; names and shapes are not checked for it`);
  return ok("config", `${architecture}: ${plural(expected.size, "tensor")} of the shapes it says`);
}

type ShapedTensor = Pick<TensorView, "name" | "dtype" | "shape">;

/** Families whose loaders know none of LLaMA's names. */
const OTHER_NAMES = /^(?:gpt|opt|bloom|falcon|rw|mpt|t5|mt5|bert|roberta|codegen|chatglm)/i;

/** Where a config and tensors contradict each other. */
export function configFaults(config: ModelConfig, tensors: readonly ShapedTensor[]): string[] {
  const expected = expectedTensors(config);
  const faults = [...compareDType(config, tensors), ...compareRows(config, tensors)];
  const other = config.architectures.find((name) => OTHER_NAMES.test(name));
  if (other !== undefined && embeddingOf(tensors) !== undefined) {
    faults.push(`${other} has tensors of other names than ${embeddingOf(tensors)?.name}`);
  }
  const { hiddenSize, attentionHeads, headDim, keyValueHeads } = config;
  if (expected !== null && hiddenSize !== null && attentionHeads !== null && keyValueHeads !== null) {
    if (headDim === null && hiddenSize % attentionHeads !== 0) {
      faults.push(
        `num_attention_heads is ${attentionHeads}, which does not divide hidden_size ${hiddenSize}`,
      );
    } else if (attentionHeads % keyValueHeads !== 0) {
      faults.push(`num_key_value_heads is ${keyValueHeads}, which does not divide ${attentionHeads} heads`);
    }
  }
  if (expected !== null) faults.push(...compareTensors(expected, tensors));
  return faults;
}

/** `torch_dtype` names the dtype that most bytes of the float tensors are in. */
function compareDType({ torchDType }: ModelConfig, tensors: readonly ShapedTensor[]): string[] {
  const bytes = new Map<DType, number>();
  for (const tensor of tensors.filter(({ dtype }) => isFloatDType(dtype))) {
    bytes.set(tensor.dtype, (bytes.get(tensor.dtype) ?? 0) + byteLengthOf(tensor));
  }
  const main = [...bytes].sort(([, a], [, b]) => b - a)[0]?.[0];
  if (torchDType === null || main === undefined || !(main in TORCH_NAMES)) return [];
  const name = TORCH_NAMES[main as keyof typeof TORCH_NAMES];
  return torchDType === name ? [] : [`torch_dtype is ${torchDType}, the tensors are ${name}`];
}

function compareRows({ vocabSize }: ModelConfig, tensors: readonly ShapedTensor[]): string[] {
  const rows = embeddingRows(tensors);
  if (vocabSize === null || rows === null || rows === vocabSize) return [];
  return [`vocab_size is ${vocabSize}, the embedding has ${rows} rows`];
}

function compareTensors(
  expected: ReadonlyMap<string, readonly number[]>,
  tensors: readonly ShapedTensor[],
): string[] {
  const isLookedAt = ({ name }: ShapedTensor) => expected.has(name) || !isHarmless(name, expected);
  const got = shapesOf(tensors.filter(isLookedAt).map(({ name, shape }) => [name, shape]));
  return compareByName(got, shapesOf(expected), "not", "isn't one of its tensors");
}

/** What models that call themselves LLaMA have on top of it, such as a head beside a tied embedding. */
function isHarmless(name: string, expected: ReadonlyMap<string, unknown>): boolean {
  const isBias = expected.has(name.replace(/\.bias$/, ".weight"));
  return isBias || isRotaryBuffer(name) || isLlavaProjector(name) || name === LM_HEAD;
}

export async function checkTokenizer({ folder, tensors }: Checkpoint, pause: Pause): Promise<Check> {
  const state = await readTokenizerState(folder, embeddingRows(tensors), pause);
  const { files, pieces, addedTokens, rows, problems, faults } = state;
  if (faults.length > 0) return failed("tokenizer", faults);
  if (pieces === null) return skipped("tokenizer", listFaults(problems));
  const added = addedTokens === null || addedTokens === 0 ? "" : ` and ${plural(addedTokens, "added token")}`;
  const of = rows === null ? "" : ` for ${plural(rows, "row")}`;
  const rest = problems.length === 0 ? "" : `; ${listFaults(problems)}`;
  return ok("tokenizer", `${plural(pieces, "piece")}${added}${of} (${files.join(", ")})${rest}`);
}

function embeddingRows(tensors: readonly ShapedTensor[]): number | null {
  return embeddingOf(tensors)?.shape[0] ?? null;
}
