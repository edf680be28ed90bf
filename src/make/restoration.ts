/** Whether applying a delta gives its model back. */
import { ApplyDeltaError } from "../errors.js";
import { countFindings } from "../merge/findings.js";
import type { Finding, FindingKind } from "../target/findings.js";
import { firstFew, formatExact, sumOf } from "../units.js";
import type { LostElements, Restoration } from "./documents.js";

const LISTED = 10;

/** `elements`: those of all tensors. */
export function judgeRestoration(findings: readonly Finding[], elements: number): Restoration {
  const ofKind = (wanted: Finding["kind"]) => findings.filter(({ kind }) => kind === wanted);
  const zeroSigns = new Map(ofKind("lost-zero-sign").map(({ tensor, count }) => [tensor, count]));
  const losses = ofKind("lost").map(({ tensor, count, first }) => {
    return { tensor, elements: count, zeroSigns: zeroSigns.get(tensor) ?? 0, first };
  });
  return {
    isExact: losses.length === 0,
    elements,
    lost: sumOf(losses, (loss) => loss.elements),
    zeroSigns: sumOf(losses, (loss) => loss.zeroSigns),
    tensors: losses.length,
    listed: losses.slice(0, LISTED),
  };
}

/** What is odd in the inputs, in the words of `findingDoubts`. */
const ODD: Partial<Record<FindingKind, string>> = {
  "base-not-finite": "values that aren't finite in the base",
  "delta-not-finite": "values that aren't finite in the tuned model",
  "base-text": "places that hold text in the base",
  "delta-text": "places that hold text in the tuned model",
  "base-zeros": "bytes of zeros within matrices of the base",
  "delta-zeros": "bytes of zeros within matrices of the tuned model",
};

/** A sentence for each kind of value that no trained model has. */
export function findingDoubts(findings: readonly Finding[]): string[] {
  return (Object.entries(ODD) as [FindingKind, string][]).flatMap(([kind, what]) => {
    const those = findings.filter((finding) => finding.kind === kind);
    if (those.length === 0) return [];
    const count = countFindings(those, kind);
    return [`${formatExact(count)} ${what}: ${firstFew(those.map(({ tensor }) => tensor))}.`];
  });
}

/** One sentence for the summary and the model card. */
export function describeRestoration({ isExact, elements, lost, zeroSigns }: Restoration): string {
  if (isExact) return "applying it gives the tuned model, bit for bit";
  const zeros = zeroSigns === 0 ? "" : `, ${formatExact(zeroSigns)} of them only the sign of a zero`;
  return `applying it gives the tuned model but for rounding: ${formatExact(lost)} of ${formatExact(elements)} elements differ${zeros}`;
}

/** `model.norm.weight: 3 elements, the first is number 17`. */
function describeLost({ tensor, elements, first }: LostElements): string {
  return `${tensor}: ${formatExact(elements)}, the first is number ${first}`;
}

/** The error where every element must come back and some don't; null where all do. */
export function restorationError(restoration: Restoration): ApplyDeltaError | null {
  const { isExact, lost, elements, tensors, listed } = restoration;
  const [worst] = listed;
  if (isExact || worst === undefined) return null;
  const more = tensors - listed.length;
  return new ApplyDeltaError("not-restorable", "The delta can't give its model back bit for bit.", {
    tensor: worst.tensor,
    expected: "base + delta equal to the tuned model in every bit",
    got: `${formatExact(lost)} of ${formatExact(elements)} elements that differ (${listed.map(describeLost).join("; ")}${more > 0 ? `; and ${more} more` : ""})`,
    hint: "Where the base's weight is much larger than the tuned one's, their difference is rounded; and no sum gives -0. Leave out --exact to write the delta all the same; what applying it gives is a model whose own delta is exact, as a rule, and so the better one to release.",
  });
}
