/** Whether every number is finite and, where base and delta are known, what they give. */
import type { Checkpoint } from "../formats/open.js";
import type { MergePlan } from "../merge/merge-plan.js";
import { elementCount } from "../tensor.js";
import { formatCount, plural } from "../units.js";
import type { Check } from "./documents.js";
import { failed, ok, skipped } from "./outcome.js";
import {
  isAsPlanned,
  type TensorFindings,
  type VerifyWeightsOptions,
  verifyWeights,
} from "./verify-weights.js";

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
  if (faults.length > 0) return failed("numbers", faults);
  const others = tensors.length - findings.length;
  const rest = others === 0 ? "" : `; ${plural(others, "tensor")} without floats not looked at`;
  return ok("numbers", `${elementsOf(findings)}, none NaN or infinite${rest}`);
}

function checkSum(target: Checkpoint, plan: MergePlan | null, findings: readonly TensorFindings[]): Check {
  if (plan === null) return skipped("sum", "base and delta were not given");
  const faults = findings.flatMap(({ tensor, different, difference }) => {
    if (difference === null) return [];
    const { index, expected, got } = difference;
    return [
      `${tensor.name}[${index.join(", ")}] is ${got}, base and delta give ${expected} (${formatCount(different)} of its elements differ)`,
    ];
  });
  faults.push(...compareKinds(target, plan));
  if (faults.length > 0) return failed("sum", faults);
  const compared = findings.filter(({ isCompared }) => isCompared);
  return ok("sum", `all ${elementsOf(compared)} are what base and delta give, bit for bit`);
}

/** Tensors that can't be compared, since they aren't of the kind the sum has. */
function compareKinds({ tensors }: Checkpoint, plan: MergePlan): string[] {
  const got = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  const wanted = new Map(plan.tensors.map((tensor) => [tensor.name, tensor]));
  const faults: string[] = [];
  for (const planned of plan.tensors) {
    const tensor = got.get(planned.name);
    if (tensor === undefined) faults.push(`${planned.name} is missing`);
    else if (!isAsPlanned(tensor, planned)) {
      faults.push(`${planned.name} is ${kindOf(tensor)}, base and delta give ${kindOf(planned)}`);
    }
  }
  const more = [...got.keys()].filter((name) => !wanted.has(name));
  return [...faults, ...more.map((name) => `${name} is not in the sum`)];
}

function kindOf({ dtype, shape }: { readonly dtype: string; readonly shape: readonly number[] }): string {
  return `${dtype} ${shape.join(" x ")}`;
}

function elementsOf(findings: readonly TensorFindings[]): string {
  const count = findings.reduce((sum, { tensor }) => sum + elementCount(tensor.shape), 0);
  return `${formatCount(count)} ${count === 1 ? "element" : "elements"}`;
}
