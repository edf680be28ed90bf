import type { Check, Verification } from "./documents.js";

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
