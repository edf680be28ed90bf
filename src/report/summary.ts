/**
 * What a merge reports: the documents that `--json` prints, and the same for people.
 * Pure: values in, values and text out.
 */
import { printable } from "../errors.js";
import type { Fit } from "../plan/judge-fit.js";
import type { Action } from "../plan/match.js";
import { countActions, type MergePlan, notAdded } from "../plan/merge-plan.js";
import { describeRelease, type RecognizedRelease } from "../vicuna/recognize.js";
import { formatBytes, formatCount, formatSeconds, plural } from "./units.js";

export interface MergeSummary {
  readonly target: string;
  /** The delta's release and what works with it, or null where it isn't recognised. */
  readonly release: string | null;
  /** What the delta was multiplied by. */
  readonly scale: number;
  readonly tensors: Readonly<Record<Action | "dropped", number>>;
  readonly shards: readonly { readonly file: string; readonly bytes: number }[];
  /** File names of the shards that an interrupted run had finished. */
  readonly keptShards: readonly string[];
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly seconds: number;
  /** Highest resident memory of the whole process so far. */
  readonly peakMemoryBytes: number;
  readonly kernel: "simd" | "reference";
  readonly threads: number;
  /** Null where the check was skipped. */
  readonly baseCheck: Fit | null;
  /** Whether the target was read back and compared before it was published. */
  readonly verified: boolean;
  readonly warnings: readonly string[];
}

function scaleText(scale: number): string {
  return `target = base + ${scale} * delta`;
}

/** The part of a prepared merge that a dry run shows. */
export interface PlanSummary {
  readonly target: string;
  readonly plan: MergePlan;
  readonly fit: Fit | null;
  readonly release: RecognizedRelease | null;
  readonly freeBytes: number;
  readonly files: readonly { readonly fileName: string }[];
  /** Names of the files that record what was made, written after the others. */
  readonly records: readonly string[];
  readonly warnings: readonly string[];
}

/** The summary for a terminal. */
export function formatSummary(summary: MergeSummary): string {
  const { shards, seconds, bytesRead, bytesWritten } = summary;
  const speed = `${formatBytes((bytesRead + bytesWritten) / seconds)}/s`;
  return [
    summary.target,
    ...(summary.release === null ? [] : [`  release   ${summary.release}`]),
    ...(summary.scale === 1 ? [] : [`  scale     ${scaleText(summary.scale)}`]),
    `  tensors   ${formatCounts(summary.tensors)}`,
    `  weights   ${formatBytes(bytesWritten)} in ${plural(shards.length, "shard")}`,
    ...(summary.baseCheck === null ? [] : [`  base      ${summary.baseCheck.sentence}`]),
    ...(summary.verified
      ? ["  verified  read back from the disk: what base and delta give, bit for bit"]
      : []),
    `  took      ${formatSeconds(seconds)} (${speed} read and written), ${formatBytes(summary.peakMemoryBytes)} of memory, ${summary.kernel} kernel, ${plural(summary.threads, "thread")}`,
  ].join("\n");
}

/** The plan as a document, for `--dry-run --json`. */
export function planDocument({
  target,
  plan,
  fit,
  release,
  freeBytes,
  files,
  records,
  warnings,
}: PlanSummary): object {
  return {
    target,
    dryRun: true,
    release: release === null ? null : describeRelease(release),
    scale: plan.scale,
    tensors: countActions(plan),
    notAdded: notAdded(plan),
    shards: plan.shards.map(({ fileName, byteLength, placed }) => ({
      file: fileName,
      bytes: byteLength,
      tensors: placed.length,
    })),
    files: [...files.map(({ fileName }) => fileName), ...records],
    parameters: plan.parameterCount,
    bytesToRead: plan.bytesToRead,
    bytesToWrite: plan.bytesToWrite,
    freeBytes,
    baseCheck: fit,
    warnings,
  };
}

/** The plan for a terminal. */
export function formatPlan({ target, plan, fit, release, freeBytes, files, records }: PlanSummary): string {
  const lines = [
    `plan for ${target} (nothing is written)`,
    ...(release === null ? [] : [`  release   ${describeRelease(release)}`]),
    ...(plan.scale === 1 ? [] : [`  scale     ${scaleText(plan.scale)}`]),
    `  tensors   ${formatCounts(countActions(plan))}, ${formatCount(plan.parameterCount)} parameters`,
    ...notAdded(plan).map(({ name, action, reason }) => `            ${action.padEnd(8)} ${name}: ${reason}`),
    `  weights   ${plural(plan.shards.length, "shard")}`,
    ...plan.shards.map(
      ({ fileName, byteLength, placed }) =>
        `            ${fileName}  ${formatBytes(byteLength)}  ${plural(placed.length, "tensor")}`,
    ),
    `  files     ${[...files.map(({ fileName }) => fileName), ...records].join(", ")}`,
    ...(fit === null ? [] : [`  base      ${fit.sentence}`]),
    `  to read   ${formatBytes(plan.bytesToRead)}`,
    `  to write  ${formatBytes(plan.bytesToWrite)} (${formatBytes(freeBytes)} free)`,
  ];
  // Tensors' names come from files.
  return lines.map(printable).join("\n");
}

function formatCounts(counts: MergeSummary["tensors"]): string {
  return Object.entries(counts)
    .filter(([action, count]) => count > 0 || action === "added")
    .map(([action, count]) => `${formatCount(count)} ${action}`)
    .join(", ");
}
