/** What the base check and the measurement of a change report. */
import * as z from "zod";
import { count, type DocumentType, flag, number, sumDType, text, texts } from "../documents.js";

export const baseStatisticsSchema = z.strictObject({
  tensors: count.describe("Tensors sampled."),
  sampled: count.describe("Pairs of finite elements sampled."),
  comparable: count.describe(
    "Sampled pairs with 0 < |delta| <= |base| / 2; only their sums say anything about the base.",
  ),
  formats: z
    .array(
      z.strictObject({
        dtype: sumDType.describe("The format."),
        inexact: count.describe("Comparable pairs whose sum the format can't hold exactly."),
      }),
    )
    .describe(
      "The formats the delta can have been made in, narrowest first. A narrower format than the delta's is listed if it holds every sampled base value; float32 is listed if the sums need its precision.",
    ),
  baseRms: number.describe("Root mean square of the sampled base values."),
  deltaRms: number.describe("Root mean square of the sampled delta values."),
  correlation: number.describe(
    "Pearson's correlation of base and delta about zero; near 1 if the delta is a whole model.",
  ),
  baseIsBFloat16: flag.describe(
    "Whether bfloat16 holds every sampled base value, although neither side is stored in it.",
  ),
});

/** What sampling base and delta found. */
export type BaseStatistics = DocumentType<typeof baseStatisticsSchema>;

export const tensorCheckSchema = z.strictObject({
  name: text.describe("The tensor's name."),
  verdict: z
    .enum(["exact", "near", "other", "wider", "whole", "twice", "damaged", "not-finite", "zero", "too-few"])
    .describe(
      "`exact`: every sum is exact. `near`: a few aren't; rounded or tuned. `other`: many aren't; another model's. `wider`: the delta was made in a wider format. `whole`: the delta holds a whole tensor. `twice`: the base was subtracted twice. `damaged`: zeros or text where weights should be. `not-finite`: infinities or NaN. `zero`: the delta is zero. `too-few`: not enough comparable pairs.",
    ),
  sampled: count.describe("Pairs of finite elements sampled."),
  comparable: count.describe("Of the sampled pairs, those that tell."),
  inexact: count.describe("Of the comparable pairs, those whose sum had to be rounded."),
  baseRms: number.describe("Root mean square of the base's sampled values."),
  deltaRms: number.describe("Root mean square of the delta's."),
  correlation: number.describe("Pearson's correlation of base and delta about zero."),
});

/** What the sample says of one tensor. */
export type TensorCheck = DocumentType<typeof tensorCheckSchema>;

/** The verdicts on a tensor. */
export type TensorVerdict = TensorCheck["verdict"];

export const causeSchema = z.strictObject({
  kind: z
    .enum([
      ...(["another-model", "file", "layers", "row-order", "vectors"] as const),
      ...(["whole-values", "subtracted-twice", "damaged", "tensors"] as const),
    ])
    .describe("The pattern of the tensors that don't fit."),
  side: z.enum(["base", "delta"]).nullable().describe("The side at fault; null if that can't be told."),
  files: texts.describe("Names of the files that hold just these tensors; empty if the pattern is another."),
  tensors: texts.describe("The tensors that don't fit."),
  offsetBytes: count
    .nullable()
    .describe("Of damage: where in the file the first begins; null for other causes."),
  text: text.describe("What is wrong with them."),
});

/** Why tensors don't fit. */
export type Cause = DocumentType<typeof causeSchema>;

export const baseCheckSchema = z.strictObject({
  verdict: z
    .enum([
      ...(["exact", "near", "other", "mixed", "wider-delta", "too-few", "zero-delta"] as const),
      ...(["not-a-delta", "not-a-base", "swapped"] as const),
    ])
    .describe(
      "`exact`: every sum is exact, so this is the base the delta was made from. `near`: a few sums are inexact; the right base, rounded or tuned on the way. `other`: many are; another model. `mixed`: some tensors don't fit; `cause` says what they have in common. `wider-delta`: nearly all are; the delta was made in a wider format, which proves nothing about the base. `too-few`: not enough comparable elements to tell. `zero-delta`: every sampled value of the delta is zero. `not-a-delta`: the delta's values are as large as a model's. `not-a-base`: the base's are as small as a delta's. `swapped`: the base is the delta and the delta the base.",
    ),
  sentence: text.describe("The verdict as one sentence."),
  isWarning: flag.describe("Whether the verdict deserves a warning."),
  checkedIn: sumDType.nullable().describe("The format the delta was made in; null if that can't be told."),
  inexact: count.describe("Comparable sums that `checkedIn` can't hold exactly; 0 if nothing was checked."),
  judged: count.describe("Tensors with a verdict of their own: neither zero in the delta nor too small."),
  cause: causeSchema.nullable().describe("Why some tensors don't fit; null if all do."),
  tensors: z.array(tensorCheckSchema).describe("Every tensor that both sides have, in the delta's order."),
  statistics: baseStatisticsSchema.describe("The counts behind the verdict."),
});

/** Whether the base is the one the delta was made from. */
export type BaseCheck = DocumentType<typeof baseCheckSchema>;

/** The outcomes of the base check; docs/base-check.md explains them. */
export type BaseVerdict = BaseCheck["verdict"];

export const changeSizeSchema = z.strictObject({
  baseRms: number.describe("Root mean square of the base's values."),
  changeRms: number.describe("Root mean square of the change."),
  ratio: number.nullable().describe("`changeRms` / `baseRms`; null if the base is all zeros."),
});

/** How large a change is. */
export type ChangeSize = DocumentType<typeof changeSizeSchema>;

export const partChangeSchema = z.strictObject({
  ...changeSizeSchema.shape,
  part: text.describe("`embed`, `layer` or `head`; in other kinds of models a module's name."),
  layer: count.nullable().describe("The layer's number; null for other parts."),
});

/** The change of one part of the model. */
export type PartChange = DocumentType<typeof partChangeSchema>;

export const kindChangeSchema = z.strictObject({
  ...changeSizeSchema.shape,
  kind: text.describe("The last module in the tensors' names: `q_proj`, `input_layernorm`, …"),
});

/** The change of all modules of one kind. */
export type KindChange = DocumentType<typeof kindChangeSchema>;

export const layerChangeSchema = z.strictObject({
  comparedAs: z
    .enum(["delta", "difference"])
    .describe("`delta`: the model is a delta. `difference`: it is a whole model; the base was subtracted."),
  overall: changeSizeSchema.describe("Over all matrices, or over all tensors if there are no matrices."),
  parts: z
    .array(partChangeSchema)
    .describe("The matrices of the embedding, each layer in order, and the head."),
  kinds: z.array(kindChangeSchema).describe("By kind of module, matrices and vectors."),
  tensorsCompared: count.describe("Tensors of both sides that were compared."),
  tensorsNotCompared: texts.describe(
    "Names of tensors that only one side has, or whose width or dtype differs; without rotary buffers.",
  ),
  elementsCompared: number.describe("Elements of the compared tensors."),
  elementsSampled: count.describe("Elements of the compared tensors that were read."),
  notFinite: count.describe("Infinities and NaN among the sampled elements; no size includes them."),
});

/** How large a change is, layer by layer and kind by kind. */
export type LayerChange = DocumentType<typeof layerChangeSchema>;
