/** What `verify --json` prints. */
import * as z from "zod";
import { type DocumentType, flag, text, texts } from "../documents.js";

export const checkSchema = z.strictObject({
  name: z
    .enum(["weights", "index", "config", "tokenizer", "record", "checksums", "numbers", "sum"])
    .describe("What was checked."),
  status: z
    .enum(["ok", "failed", "skipped"])
    .describe("The outcome; `skipped` if there was nothing to check, or nothing to check it with."),
  detail: text.describe("What was checked, what is wrong, or why the check was skipped."),
});

/** A check and its outcome. */
export type Check = DocumentType<typeof checkSchema>;

/** What is checked. */
export type CheckName = Check["name"];

export const verificationSchema = z
  .strictObject({
    target: text.describe("The model, as it was given."),
    verdict: z.enum(["ok", "failed"]).describe("`failed` if any check failed."),
    checks: z.array(checkSchema).describe("Every check, in the order in which they ran."),
    weightsProven: flag.describe(
      "Whether every bit of the weights was compared, with checksums or with the sum of base and delta.",
    ),
    notes: texts.describe("What is odd but not wrong, a sentence each."),
  })
  .describe("Whether a model's folder is sound.");

/** Whether a model's folder is sound: what `verify` prints with `--json`. */
export type Verification = DocumentType<typeof verificationSchema>;
