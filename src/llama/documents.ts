/** What is reported of a model's config, tokenizer and release; and what `weights --json` prints. */
import * as z from "zod";
import { bytes, count, type DocumentType, flag, number, text, texts } from "../documents.js";
import { PROMPT_STYLES } from "./prompt-templates.js";

const countOrNull = count.nullable();
const textOrNull = text.nullable();
const tokenId = z.int().nullable();

export const ropeScalingSchema = z.strictObject({
  type: textOrNull.describe("`linear`, `dynamic`, `yarn`, …; null if the file doesn't say."),
  factor: number.nullable().describe("The factor; null if the file doesn't say."),
});

/** How positions are scaled beyond the length the model was made for. */
export type RopeScaling = DocumentType<typeof ropeScalingSchema>;

export const modelConfigSchema = z.strictObject({
  architectures: texts.describe("Class names in transformers."),
  modelType: textOrNull.describe("The kind of model: `llama`."),
  hiddenSize: countOrNull.describe("Width of the model."),
  intermediateSize: countOrNull.describe("Width of the feed-forward layers."),
  layers: countOrNull.describe("Number of layers."),
  attentionHeads: countOrNull.describe("Number of attention heads."),
  keyValueHeads: countOrNull.describe(
    "Number of key-value heads; by default `attentionHeads`, as in transformers.",
  ),
  headDim: countOrNull.describe("Width of a head; null if it is `hiddenSize` / `attentionHeads`."),
  vocabSize: countOrNull.describe("Rows of the embedding."),
  maxPositionEmbeddings: countOrNull.describe("Context length in tokens before any scaling."),
  maxSequenceLength: countOrNull.describe(
    "Context length in tokens in FastChat's own field, as in the 16k releases.",
  ),
  rmsNormEps: number.nullable().describe("Epsilon of the norms."),
  ropeScaling: ropeScalingSchema.nullable().describe("How positions are scaled."),
  ropeTheta: number.nullable().describe("Base of the rotary position encoding."),
  tieWordEmbeddings: flag.describe(
    "Whether embedding and head share their weights; by default false, as in transformers.",
  ),
  torchDType: textOrNull.describe("The dtype in PyTorch's spelling: `float16`."),
  bosTokenId: tokenId.describe(
    "Id of the token that begins a text, the first if there are several. Here and below old conversions write -1 for a token that doesn't exist.",
  ),
  eosTokenId: tokenId.describe("Id of the token that ends a text, the first if there are several."),
  padTokenId: tokenId.describe("Id of the token for padding, the first if there are several."),
  nameOrPath: textOrNull.describe(
    "Where the model was loaded from before it was saved; a tuned model names its base here.",
  ),
});

/** What config.json says of a model; null is what it leaves out. */
export type ModelConfig = DocumentType<typeof modelConfigSchema>;

export const tokenizerStateSchema = z.strictObject({
  files: texts.describe("Names of the tokenizer's files."),
  pieces: countOrNull.describe(
    "Tokens in tokenizer.model, or else in tokenizer.json; null if neither can be read.",
  ),
  addedTokens: countOrNull.describe(
    "Tokens added to those by added_tokens.json, tokenizer.json or tokenizer_config.json; null if `pieces` is null.",
  ),
  rows: countOrNull.describe("Rows of the embedding; null if there is none."),
  problems: texts.describe("What is missing or unreadable, a sentence each."),
  faults: texts.describe(
    "The problems that make the model unusable: unreadable files, tokens without a row.",
  ),
});

/** The tokenizer's files, and whether they have a token for every row. */
export type TokenizerState = DocumentType<typeof tokenizerStateSchema>;

export const publishedShardSchema = z.strictObject({
  file: text.describe("The file's name."),
  byteLength: bytes.nullable().describe("The file's size; null if unknown."),
  sha256: textOrNull.describe("64 hexadecimal digits in lower case; null if unknown."),
});

/** A weights file of a release. */
export type PublishedShard = DocumentType<typeof publishedShardSchema>;

export const releaseSchema = z.strictObject({
  version: z.enum(["v0", "v1.1", "v1.3", "v1.5", "v1.5-16k"]).describe("The version."),
  size: z.enum(["7B", "13B", "33B"]).describe("The size in the release's name."),
  kind: z.enum(["delta", "merged"]).describe("A delta, or a whole model."),
  repository: text.describe("`owner/name` on the Hub."),
  base: text.describe("The model it was tuned from, which is a delta's base: `LLaMA 1 7B`."),
  date: textOrNull.describe("The version's date, `YYYY-MM-DD`; null if unknown."),
  fastchat: textOrNull.describe("Version range of the Python package fschat; null if unknown."),
  transformers: textOrNull.describe("Version range of transformers; null if unknown."),
  contextTokens: count.describe("Context length in tokens."),
  prompt: z
    .enum(PROMPT_STYLES)
    .describe("Prompt style: `v0` with `###`, `v1.1` with `USER:`, `ASSISTANT:` and `</s>`."),
  embedRows: count.describe("Rows of the embedding."),
  shards: z
    .array(publishedShardSchema)
    .nullable()
    .describe("The weights files; null if their names are unknown."),
  whatToDo: text.describe("What to do with the release, in one sentence."),
});

/** A release of Vicuna, as it was published. */
export type Release = DocumentType<typeof releaseSchema>;

/** A delta, or a whole model. */
export type ReleaseKind = Release["kind"];

/** The size in the name of a release. */
export type ModelSize = Release["size"];

export const recognizedReleaseSchema = z.strictObject({
  release: releaseSchema.describe("The release."),
  clue: z
    .enum(["checksum", "repository", "folder", "config", "shard-sizes", "shape"])
    .describe("What identified it."),
  sureness: z
    .enum(["certain", "likely", "possible"])
    .describe("How sure that is; `certain` takes a checksum."),
});

/** A release, and what identified it. */
export type RecognizedRelease = DocumentType<typeof recognizedReleaseSchema>;

/** What identified a release. */
export type Clue = RecognizedRelease["clue"];

/** How sure it is: only a checksum makes it certain. */
export type Sureness = RecognizedRelease["sureness"];

export const recognitionSchema = z.strictObject({
  recognized: recognizedReleaseSchema.nullable().describe("The release; null if it isn't a known one."),
  doubts: texts.describe("Warnings about names that the tensors contradict, a line each."),
});

/** Which release of Vicuna a model is. */
export type Recognition = DocumentType<typeof recognitionSchema>;

export const listedReleaseSchema = z.strictObject({
  title: text.describe("The release's usual name: `Vicuna 7B v1.1`."),
  ...releaseSchema.shape,
});

/** A release with its usual name. */
export type ListedRelease = DocumentType<typeof listedReleaseSchema>;

export const weightsDocumentSchema = z
  .strictObject({ releases: z.array(listedReleaseSchema).describe("The releases, newest version first.") })
  .describe("The releases of Vicuna.");

/** The releases of Vicuna: what `weights` prints with `--json`. */
export type WeightsDocument = DocumentType<typeof weightsDocumentSchema>;
