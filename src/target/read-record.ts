/** Reading the files of a target that say what is in it. */
import { basename } from "node:path";
import type * as z from "zod";
import { ApplyDeltaError } from "../errors.js";
import { readSmallText } from "../files/small-file.js";

/** A record is some kB, a line of checksums about 80 bytes; stops a file that would fill the memory. */
const MAX_RECORD_BYTES = 16_000_000;

/** Null where there is none. Bytes that aren't UTF-8 become U+FFFD. Errors: `record-malformed`, `source-unreadable`. */
export function readRecord(path: string): string | null {
  return readSmallText(path, MAX_RECORD_BYTES, (got) => malformedRecord(path, "it is too large", got));
}

/** The record that a value is. Errors: `record-malformed`. */
export function checkRecord<T>(schema: z.ZodType<T>, value: unknown, path: string, what: string): T {
  const checked = schema.safeParse(value);
  if (checked.success) return checked.data;
  const [issue] = checked.error.issues;
  const got = `${issue?.path.join(".")}: ${issue?.message}`;
  throw malformedRecord(path, `${what} a record of this program`, got);
}

export function malformedRecord(path: string, what: string, got?: string, cause?: unknown): ApplyDeltaError {
  return new ApplyDeltaError("record-malformed", `${basename(path)} is malformed: ${what}.`, {
    file: path,
    got,
    cause,
    hint: "It was changed after it was written: restore it, or make the target again.",
  });
}
