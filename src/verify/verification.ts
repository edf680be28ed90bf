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
