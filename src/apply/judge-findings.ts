/**
 * What the counts of every element say, once all weights are written and before the target appears: they prove the base
 * or stop the target. A sample of a few million can miss a hole; this can't.
 */
import type { BaseCheck } from "../base-check/documents.js";
import { ApplyDeltaError, type ErrorCode } from "../errors.js";
import { countFindings } from "../merge/findings.js";
import type { MergePlan, PlannedTensor } from "../merge/merge-plan.js";
import type { WarningLog } from "../merge/warning-log.js";
import type { Finding, FindingKind } from "../target/findings.js";
import { byteLengthOf, elementCount, locate, type SumDType, type TensorView } from "../tensor.js";
import { formatExact, listed, plural } from "../units.js";
import type { ElementCounts } from "./documents.js";

/** Throws `not-finite`, `damaged-weights` or `wrong-base`, or with `force` warns; gives the counts for the summary. */
export function judgeFindings(
  found: readonly Finding[],
  plan: MergePlan,
  baseCheck: BaseCheck | null,
  force: boolean,
  log: WarningLog,
): ElementCounts {
  const tensors = new Map(plan.tensors.map((tensor) => [tensor.name, tensor]));
  const findings = found.filter((finding) => !isWhollyZero(finding, tensors.get(finding.tensor)));
  const error = refusalOf(findings, tensors, baseCheck);
  if (error !== null && !force) throw error;
  if (error !== null) log.warn(`${error.message} ${error.details.got}.`);
  const made = findings.filter(({ kind }) => kind === "made-not-finite");
  if (made.length > 0) log.warn(describeMade(made, plan));
  return {
    sums: sumsIn(plan, baseCheck?.checkedIn ?? null),
    inexact: countFindings(findings, "inexact"),
    notFinite: countFindings(findings, "base-not-finite", "delta-not-finite", "made-not-finite"),
    findings,
  };
}

/** A delta that is zero from end to end leaves a tensor as it is. */
function isWhollyZero({ kind, count }: Finding, tensor: PlannedTensor | undefined): boolean {
  const delta = tensor?.delta ?? null;
  return kind === "delta-zeros" && delta !== null && count > 0.9 * byteLengthOf(delta);
}

/**
 * Sums that were counted in the format the delta was made in. In a wider one, as of a float32 delta of float16 models,
 * nearly every sum is exact, whatever the base, so counting them proves nothing.
 */
function sumsIn({ tensors, scale, operation }: MergePlan, madeIn: SumDType | null): number {
  if (scale !== 1 || operation !== "add") return 0;
  return tensors.reduce((sum, { base, delta, shape, sumDType }) => {
    if (base === null || delta === null || (madeIn !== null && sumDType !== madeIn)) return sum;
    return sum + Math.min(elementCount(base.shape), elementCount(shape));
  }, 0);
}

/** What no weights are on either side, the worst first: its kind, the error, its headline, and what is counted. */
const DAMAGE = [
  ["not-finite", "not-finite", "The SIDE has values that aren't finite.", "infinities or NaN"],
  ["text", "damaged-weights", "Text stands where the SIDE's weights should be.", "places"],
  ["zeros", "damaged-weights", "Zeros stand where the SIDE's weights should be.", "bytes"],
] as const;

function refusalOf(
  findings: readonly Finding[],
  tensors: ReadonlyMap<string, PlannedTensor>,
  baseCheck: BaseCheck | null,
): ApplyDeltaError | null {
  const refuse = (kind: FindingKind, code: ErrorCode, headline: string, what: string, hint: string) => {
    const those = findings.filter((finding) => finding.kind === kind);
    const [first] = those;
    if (first === undefined) return null;
    const names = [...new Set(those.map(({ tensor }) => tensor))];
    return new ApplyDeltaError(code, headline, {
      ...placeOf(first, tensors.get(first.tensor)),
      got: `${formatExact(countFindings(those, kind))} ${what} in ${plural(names.length, "tensor")}: ${listed(names)}`,
      hint: `${hint} To keep the result all the same, add --force.`,
    });
  };
  for (const [kind, code, headline, what] of DAMAGE) {
    for (const side of ["base", "delta"] as const) {
      const hint = "Download the file again and compare its SHA-256.";
      const error = refuse(`${side}-${kind}`, code, headline.replace("SIDE", side), what, hint);
      if (error !== null) return error;
    }
  }
  if (baseCheck?.verdict !== "exact") return null;
  return refuse(
    "inexact",
    "wrong-base",
    "A part of the base is not what the delta was made from.",
    "sums that had to be rounded, where the sample found none,",
    "Download the base again, and compare its SHA-256.",
  );
}

/** The file and the byte of the first finding. */
function placeOf({ kind, tensor, first }: Finding, planned: PlannedTensor | undefined): object {
  const view: TensorView | null | undefined = kind.startsWith("delta") ? planned?.delta : planned?.base;
  if (view === null || view === undefined) return { tensor };
  const { file, offsetBytes } = locate(view, first);
  return { file: file.path, tensor, offsetBytes };
}

function describeMade(made: readonly Finding[], { scale, tensors }: MergePlan): string {
  const [first] = made as [Finding];
  const isNarrowed = tensors.some(({ name, dtype, sumDType }) => name === first.tensor && dtype !== sumDType);
  const by = isNarrowed ? "rounding to a narrower dtype" : scale === 1 ? "the sum" : "the sum with --scale";
  const names = [...new Set(made.map(({ tensor }) => tensor))];
  return `${plural(countFindings(made, "made-not-finite"), "value")} became infinite by ${by}: ${listed(names)}; the first is element ${first.first} of ${first.tensor}.`;
}
