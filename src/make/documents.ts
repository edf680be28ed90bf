/** What `make` prints with `--json` and with `--dry-run --json`. */
import * as z from "zod";
import { changeSizeSchema } from "../base-check/documents.js";
import { count, type DocumentType, flag, text, texts } from "../documents.js";
import { layoutSchema, notAddedSchema, outputSummarySchema } from "../merge/documents.js";
import { uploadSummarySchema } from "../upload/documents.js";

export const lostElementsSchema = z.strictObject({
  tensor: text.describe("The tensor's name."),
  elements: count.describe("How many of its elements don't come back."),
  zeroSigns: count.describe("Zeros among them: -0 comes back as +0."),
  first: count.describe("Number of the first such element in row-major order, from 0."),
});

/** Elements of a tensor that applying a delta doesn't give back. */
export type LostElements = DocumentType<typeof lostElementsSchema>;

export const restorationSchema = z.strictObject({
  isExact: flag.describe("Whether every element comes back, bit for bit."),
  elements: count.describe("Elements of the delta."),
  lost: count.describe("Elements that don't come back."),
  zeroSigns: count.describe("Zeros among the lost elements; only their sign is lost."),
  tensors: count.describe("Tensors with lost elements."),
  listed: z
    .array(lostElementsSchema)
    .describe("The first of those tensors in the model's order, at most 10."),
});

/** How much of a tuned model comes back when its delta is applied. */
export type Restoration = DocumentType<typeof restorationSchema>;

const change = changeSizeSchema
  .nullable()
  .describe("How much the tuning changed, in a sample; null if nothing could be compared.");
const applyWith = texts.describe("Command line options that `apply` needs to bring every tensor back.");

export const makeSummarySchema = z.strictObject({
  delta: text.describe("Real path of the new folder."),
  ...outputSummarySchema.shape,
  change,
  restores: restorationSchema.describe("What applying the delta gives, proven element by element."),
  applyWith,
});

/** What making a delta made. */
export type MakeSummary = DocumentType<typeof makeSummarySchema>;

export const makeDocumentSchema = z
  .strictObject({
    ...makeSummarySchema.shape,
    upload: z.exactOptional(uploadSummarySchema).describe("With `--upload`: what was sent to the Hub."),
  })
  .describe("What making a delta made.");

/** What `make` prints with `--json`. */
export type MakeDocument = DocumentType<typeof makeDocumentSchema>;

export const deltaPlanSchema = z
  .strictObject({
    delta: text.describe("Real path of the folder to make."),
    dryRun: z.literal(true).describe("Tells a plan from a result."),
    ...layoutSchema.shape,
    notSubtracted: z.array(notAddedSchema).describe("Every tensor that won't simply be subtracted, and why."),
    change,
    applyWith,
    warnings: texts.describe("What may be wrong, a sentence each."),
  })
  .describe("What making a delta would do.");

/** What making a delta would do: what `make --dry-run --json` prints. */
export type DeltaPlanDocument = DocumentType<typeof deltaPlanSchema>;
