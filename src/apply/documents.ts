/** What applying a delta prints with `--json` and with `--dry-run --json`. */
import * as z from "zod";
import { baseCheckSchema } from "../base-check/documents.js";
import { count, type DocumentType, flag, number, text, texts } from "../documents.js";
import { layoutSchema, notAddedSchema, outputSummarySchema } from "../merge/documents.js";
import { FINDING_KINDS } from "../target/findings.js";
import { uploadSummarySchema } from "../upload/documents.js";

const release = text
  .nullable()
  .describe("The delta's release and the versions it works with; null if it isn't recognised.");
const scale = number.describe("The number that multiplies the delta.");
const baseCheck = baseCheckSchema
  .nullable()
  .describe("The verdict on the base; null if the check was skipped.");

export const findingSchema = z.strictObject({
  tensor: text.describe("The tensor's name."),
  kind: z.enum(FINDING_KINDS).describe("What was found, and on which side."),
  count: count.describe("How many: values, sums, bytes of zeros, or places that hold text."),
  first: count.describe("Number of the first in row-major order, from 0; of sums, of a stretch with one."),
});

export const elementCountsSchema = z.strictObject({
  sums: count.describe("Sums that were counted in the format the delta was made in; 0 with a scale."),
  inexact: count.describe(
    "Of those the check speaks of, sums that had to be rounded; 0 with the right base.",
  ),
  notFinite: count.describe("Infinities and NaN in base, delta and target."),
  findings: z.array(findingSchema).describe("What was found in which tensor; empty if nothing was."),
});

/** What was counted of every element while adding. */
export type ElementCounts = DocumentType<typeof elementCountsSchema>;

export const mergeSummarySchema = z.strictObject({
  target: text.describe("Real path of the new folder."),
  release,
  scale,
  ...outputSummarySchema.shape,
  baseCheck,
  counted: elementCountsSchema.describe("What was counted of every element while adding."),
  alreadyMade: flag.describe(
    "Whether the folder was there: the same merge made it, so nothing was written. What was counted is then as recorded, without findings.",
  ),
  verified: flag.describe("Whether the target was read back and compared before it was published."),
});

/** What a merge made. */
export type MergeSummary = DocumentType<typeof mergeSummarySchema>;

export const partSummarySchema = z.strictObject({
  target: text.describe("Real path of the folder that the parts make."),
  part: text.nullable().describe("Which part this was, as `2/4`; null where it only completed the target."),
  shards: texts.describe("Names of the weights files that this run made."),
  shardsDone: count.describe("Weights files of all parts that are done."),
  shardsTotal: count.describe("Weights files of the target."),
  published: flag.describe("Whether this run completed the target."),
  merge: mergeSummarySchema.nullable().describe("What was made, where this run completed the target."),
  seconds: number.describe("Duration of the call."),
  warnings: texts.describe("What may be wrong, a sentence each."),
});

/** What a run of one part did. */
export type PartSummary = DocumentType<typeof partSummarySchema>;

export const partDocumentSchema = z
  .strictObject({
    ...partSummarySchema.shape,
    upload: z
      .exactOptional(uploadSummarySchema)
      .describe("With `--upload`, where this run completed the target."),
  })
  .describe("What a run of one part did.");

export const applyDocumentSchema = z
  .strictObject({
    ...mergeSummarySchema.shape,
    upload: z.exactOptional(uploadSummarySchema).describe("With `--upload`: what was sent to the Hub."),
  })
  .describe("What a merge made.");

/** What applying prints with `--json`. */
export type ApplyDocument = DocumentType<typeof applyDocumentSchema>;

export const mergePlanSchema = z
  .strictObject({
    target: text.describe("Real path of the folder to make."),
    dryRun: z.literal(true).describe("Tells a plan from a result."),
    release,
    scale,
    ...layoutSchema.shape,
    notAdded: z.array(notAddedSchema).describe("Every tensor that won't simply be added, and why."),
    baseCheck,
    warnings: texts.describe("What may be wrong, a sentence each."),
  })
  .describe("What a merge would do.");

/** What a merge would do: what `--dry-run --json` prints. */
export type MergePlanDocument = DocumentType<typeof mergePlanSchema>;
