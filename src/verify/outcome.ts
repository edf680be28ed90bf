import { basename } from "node:path";
import type { ApplyDeltaError } from "../errors.js";
import type { Check, CheckName, Verification } from "./documents.js";

/** Faults a line lists; the rest is counted. */
const MOST_LISTED = 3;

export function ok(name: CheckName, detail: string): Check {
  return { name, status: "ok", detail };
}

export function skipped(name: CheckName, detail: string): Check {
  return { name, status: "skipped", detail };
}

export function failed(name: CheckName, faults: readonly string[]): Check {
  return { name, status: "failed", detail: listed(faults) };
}

/** The first few, and how many more there are. */
export function listed(texts: readonly string[]): string {
  const rest = texts.length - MOST_LISTED;
  const shown = texts.slice(0, MOST_LISTED).join("; ");
  return rest > 0 ? `${shown}; and ${rest.toLocaleString("en-US")} more` : shown;
}

/** An error met while looking, on one line: `config.json: …: expected …, got …`. */
export function describeError({ message, details }: ApplyDeltaError): string {
  const { file, tensor, expected, got } = details;
  const facts = [
    ...(expected === undefined ? [] : [`expected ${expected}`]),
    ...(got === undefined ? [] : [`got ${got}`]),
  ];
  const where = [...(file === undefined ? [] : [basename(file)]), ...(tensor === undefined ? [] : [tensor])];
  return [...where, message.replace(/\.$/, ""), ...(facts.length === 0 ? [] : [facts.join(", ")])].join(": ");
}

export function hasFailed({ status }: Check): boolean {
  return status === "failed";
}

export function verificationOf(
  target: string,
  checks: readonly Check[],
  notes: readonly string[],
): Verification {
  const proves = ({ name, status }: Check) => status === "ok" && (name === "checksums" || name === "sum");
  const verdict = checks.some(hasFailed) ? "failed" : "ok";
  return { target, verdict, checks, weightsProven: checks.some(proves), notes };
}
