/**
 * What `verify` finds: the document that `--json` prints, and the same for a terminal.
 * Pure: a document in, text out. Guards: what wasn't checked is said, so that no verdict claims more than was looked
 * at; names come from files of unknown origin, so no control character of theirs reaches the terminal.
 */
import { printable } from "../printable.js";
import type { Check, Verification } from "../verify/documents.js";
import { type Palette, PLAIN } from "./terminal.js";

const UNPROVEN =
  "no fault found; but the weights' bytes themselves were not checked: give --base and --delta, or make the target with --checksums";

/** The document for a terminal: a line a check, then the verdict. */
export function formatVerification(verification: Verification, paint: Palette = PLAIN): string {
  const { target, verdict, checks, weightsProven, notes } = verification;
  const failed = checks.filter(({ status }) => status === "failed").map(({ name }) => name);
  const statusOf = (status: Check["status"]) =>
    status === "failed" ? paint.bad("FAILED".padEnd(7)) : status.padEnd(7);
  return [
    paint.strong(printable(target)),
    ...checks.map(
      ({ name, status, detail }) => `  ${name.padEnd(9)}  ${statusOf(status)}  ${printable(detail)}`,
    ),
    ...notes.map((note) => printable(`  note: ${note}`)),
    verdict === "failed"
      ? `${paint.bad("verification FAILED:")} ${failed.join(", ")}`
      : weightsProven
        ? paint.good("verified")
        : UNPROVEN,
  ].join("\n");
}
