/**
 * What `verify` finds: the document that `--json` prints, and the same for a terminal.
 * Pure: a document in, text out. Guards: what wasn't checked is said, so that no verdict claims more than was looked
 * at; names come from files of unknown origin, so no control character of theirs reaches the terminal.
 */
import { printable } from "../printable.js";
import { type Palette, PLAIN } from "./terminal.js";

/** What is checked. */
export type CheckName =
  | "weights"
  | "index"
  | "config"
  | "tokenizer"
  | "record"
  | "checksums"
  | "numbers"
  | "sum";

/** A check and how it ended. */
export interface Check {
  /** What was checked. */
  readonly name: CheckName;
  /** How it ended; `skipped` where there was nothing to check or to check with. */
  readonly status: "ok" | "failed" | "skipped";
  /** What was looked at, what is wrong, or why it was not looked at. */
  readonly detail: string;
}

/** What is known of a model's folder: what `verify` prints with `--json`. */
export interface Verification {
  /** As the user gave it. */
  readonly target: string;
  /** `failed` where a check failed. */
  readonly verdict: "ok" | "failed";
  /** Every check, in the order in which they were made. */
  readonly checks: readonly Check[];
  /** Whether every bit of the weights was compared, with checksums or with the sum of base and delta. */
  readonly weightsProven: boolean;
  /** What is odd and no fault, a sentence each. */
  readonly notes: readonly string[];
}

export function verificationOf(
  target: string,
  checks: readonly Check[],
  notes: readonly string[],
): Verification {
  return {
    target,
    verdict: checks.some(({ status }) => status === "failed") ? "failed" : "ok",
    checks,
    weightsProven: checks.some(
      ({ name, status }) => status === "ok" && (name === "checksums" || name === "sum"),
    ),
    notes,
  };
}

/** The checks that failed, as one sentence: `record: config.json: …`. */
export function describeFailures({ checks }: Verification): string {
  const failed = checks.filter(({ status }) => status === "failed");
  return failed.map(({ name, detail }) => `${name}: ${detail}`).join("; ");
}

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
