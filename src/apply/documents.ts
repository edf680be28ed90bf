/** What applying a delta prints with `--json` and with `--dry-run --json`. */
import { z } from "zod";
import { baseCheckSchema } from "../base-check/documents.js";
import { type DocumentType, flag, number, text, texts } from "../documents.js";
import { layoutSchema, notAddedSchema, outputSummarySchema } from "../merge/documents.js";
import { uploadSummarySchema } from "../upload/documents.js";

const release = text
  .nullable()
  .describe("The delta's release and the versions it works with; null if it isn't recognised.");
const scale = number.describe("The number that multiplies the delta.");
const baseCheck = baseCheckSchema
  .nullable()
  .describe("The verdict on the base; null if the check was skipped.");

export const mergeSummarySchema = z.strictObject({
  target: text.describe("Real path of the new folder."),
  release,
  scale,
  ...outputSummarySchema.shape,
  baseCheck,
  verified: flag.describe("Whether the target was read back and compared before it was published."),
});

/** What a merge made. */
export type MergeSummary = DocumentType<typeof mergeSummarySchema>;

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
