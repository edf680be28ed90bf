/** What a command prints with `--json` when it fails. */
import * as z from "zod";
import { type DocumentType, errorDetailsSchema, text } from "./documents.js";
import { type ErrorCode, EXIT_OF } from "./errors.js";

const codes = Object.keys(EXIT_OF) as [ErrorCode, ...ErrorCode[]];

export const reportedErrorSchema = z.strictObject({
  code: z.enum([...codes, "bug"]).describe("The kind of error; `bug` is a fault in this program."),
  message: text.describe("What is wrong, in one sentence."),
  ...errorDetailsSchema.shape,
});

/** What went wrong, for a script. */
export type ReportedError = DocumentType<typeof reportedErrorSchema>;

export const errorDocumentSchema = z
  .strictObject({ error: reportedErrorSchema.describe("What went wrong.") })
  .describe("What any command prints with `--json` when it fails.");

/** What any command prints with `--json` when it fails. */
export type ErrorDocument = DocumentType<typeof errorDocumentSchema>;
