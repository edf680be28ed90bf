/** What `upload --json` prints. */
import * as z from "zod";
import { bytes, type DocumentType, flag, number, text, texts } from "../documents.js";

export const uploadSummarySchema = z
  .strictObject({
    repository: text.describe("`owner/name` on the Hub."),
    url: text.describe("The repository's page."),
    private: flag.nullable().describe("Whether the repository is private; null if the Hub doesn't say."),
    commit: text.describe(
      "The commit that holds the files: a new one, unless the Hub already had a commit with all of them.",
    ),
    pullRequest: text
      .nullable()
      .describe("The page of the pull request that holds the commit; null without one."),
    commitUrl: text.describe("The commit's page."),
    sent: texts.describe("Names of the files that were sent."),
    skipped: texts.describe("Names of the files that the Hub had already."),
    removed: texts.describe("Names of the files that the commit removed from the repository."),
    bytesSent: bytes.describe("Bytes of the files that were sent."),
    bytesSkipped: bytes.describe("Bytes of the files that the Hub had already."),
    seconds: number.describe("Duration of the call."),
  })
  .describe("What was sent to the Hub.");

/** What was sent to the Hub: what `upload` prints with `--json`. */
export type UploadSummary = DocumentType<typeof uploadSummarySchema>;
