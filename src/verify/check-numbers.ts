/** Whether every number is finite and, where base and delta are known, what they give. */
import type { LayoutEntry } from "../formats/format.js";
import type { Checkpoint } from "../formats/open.js";
import { type MergePlan, storedNameOf } from "../merge/merge-plan.js";
import { elementCount, indexOf } from "../tensor.js";
import { formatCount, formatExact, plural, sumOf } from "../units.js";
import type { Check } from "./documents.js";
import { compareByName, judged, skipped } from "./outcome.js";
import { type TensorFindings, type VerifyWeightsOptions, verifyWeights } from "./verify-weights.js";

/** Two checks, one pass over the weights. */
export async function checkNumbers(
  target: Checkpoint,
  options: Omit<VerifyWeightsOptions, "tensors">,
): Promise<Check[]> {
  const findings = await verifyWeights({ ...options, tensors: target.tensors });
  return [checkFinite(target, findings), checkSum(target, options.plan, findings)];
}

function checkFinite({ tensors }: Checkpoint, findings: readonly TensorFindings[]): Check {
  const faults = findings.flatMap(({ tensor, nan, infinite }) => {
    const counts = [...(nan === 0 ? [] : [`${formatCount(nan)} NaN`])];
    if (infinite > 0) counts.push(`${formatCount(infinite)} infinite`);
    return counts.length === 0 ? [] : [`${tensor.name} has ${counts.join(" and ")}`];
  });
  const others = tensors.length - findings.length;
  const rest = others === 0 ? "" : `; ${plural(others, "tensor")} without floats not looked at`;
  return judged("numbers", faults, `${elementsOf(findings)}, none NaN or infinite${rest}`);
}

function checkSum(target: Checkpoint, plan: MergePlan | null, findings: readonly TensorFindings[]): Check {
  if (plan === null) return skipped("sum", "base and delta were not given");
  const faults = findings.flatMap(({ tensor: { name, shape }, different, difference }) => {
    if (difference === null) return [];
    const { element, expected, got } = difference;
    return [
      `${name}[${indexOf(element, shape).join(", ")}] is ${got}, base and delta give ${expected} (${formatCount(different)} of its elements differ)`,
    ];
  });
  // Tensors that aren't of the kind the sum has can't be compared.
  const planned = plan.tensors.map((tensor) => ({ ...tensor, name: storedNameOf(tensor) }));
  const [got, wanted] = [kindsOf(target.tensors), kindsOf(planned)];
  faults.push(...compareByName(got, wanted, "base and delta give", "is not in the sum"));
  const compared = findings.filter(({ isCompared }) => isCompared);
  const inexact = sumOf(findings, (finding) => finding.inexact);
  const proof =
    inexact === 0
      ? "no sum contradicts the base"
      : `${formatExact(inexact)} sums had to be rounded, so the base isn't bit for bit the delta's`;
  const sum = `all ${elementsOf(compared)} are what base and delta give, bit for bit`;
  // Scaled sums have to be rounded with any base.
  return judged("sum", faults, plan.scale === 1 ? `${sum}; ${proof}` : sum);
}

function kindsOf(tensors: readonly LayoutEntry[]): ReadonlyMap<string, string> {
  return new Map(tensors.map(({ name, dtype, shape }) => [name, `${dtype} ${shape.join(" x ")}`]));
}

function elementsOf(findings: readonly TensorFindings[]): string {
  const count = sumOf(findings, ({ tensor }) => elementCount(tensor.shape));
  return `${formatCount(count)} ${count === 1 ? "element" : "elements"}`;
}
