/**
 * What a merge reports: the documents that `--json` prints, and the same for people.
 * Pure: values in, values and text out.
 */
import { printable } from "../errors.js";
import type { Fit } from "../plan/judge-fit.js";
import { countActions, type MergePlan, notAdded, type TensorCounts } from "../plan/merge-plan.js";
import { describeRelease, type RecognizedRelease } from "../vicuna/recognize.js";
import { formatBytes, formatCount, formatSeconds, plural } from "./units.js";

/** What is told of a folder that was made, whatever is in it. */
export interface OutputSummary {
  readonly tensors: TensorCounts;
  readonly shards: readonly { readonly file: string; readonly bytes: number }[];
  /** File names of the shards that an interrupted run had finished. */
  readonly keptShards: readonly string[];
  readonly bytesRead: number;
  /** Of what was read, headers and samples too, what came from the Hub without being stored. */
  readonly bytesStreamed: number;
  readonly bytesWritten: number;
  readonly seconds: number;
  /** Highest resident memory of the whole process so far. */
  readonly peakMemoryBytes: number;
  readonly kernel: "simd" | "reference";
  readonly threads: number;
  readonly warnings: readonly string[];
}

export interface MergeSummary extends OutputSummary {
  readonly target: string;
  /** The delta's release and what works with it, or null where it isn't recognised. */
  readonly release: string | null;
  /** What the delta was multiplied by. */
  readonly scale: number;
  /** Null where the check was skipped. */
  readonly baseCheck: Fit | null;
  /** Whether the target was read back and compared before it was published. */
  readonly verified: boolean;
}

function scaleText(scale: number): string {
  return `target = base + ${scale} * delta`;
}

/** The part of anything prepared that a dry run shows. */
export interface PlannedOutput {
  readonly target: string;
  readonly plan: MergePlan;
  readonly freeBytes: number;
  readonly files: readonly { readonly fileName: string }[];
  /** Names of the files that record what was made, written after the others. */
  readonly records: readonly string[];
  readonly warnings: readonly string[];
}

/** The part of a prepared merge that a dry run shows. */
export interface PlanSummary extends PlannedOutput {
  readonly fit: Fit | null;
  readonly release: RecognizedRelease | null;
}

/** The summary for a terminal. */
export function formatSummary(summary: MergeSummary): string {
  return [
    summary.target,
    ...(summary.release === null ? [] : [`  release   ${summary.release}`]),
    ...(summary.scale === 1 ? [] : [`  scale     ${scaleText(summary.scale)}`]),
    ...weightsLines(summary),
    ...(summary.baseCheck === null ? [] : [`  base      ${summary.baseCheck.sentence}`]),
    ...(summary.verified
      ? ["  verified  read back from the disk: what base and delta give, bit for bit"]
      : []),
    tookLine(summary),
  ].join("\n");
}

export function weightsLines({ tensors, bytesWritten, bytesStreamed, shards }: OutputSummary): string[] {
  return [
    `  tensors   ${formatCounts(tensors)}`,
    `  weights   ${formatBytes(bytesWritten)} in ${plural(shards.length, "shard")}`,
    ...(bytesStreamed === 0 ? [] : [`  streamed  ${formatBytes(bytesStreamed)} from the Hub`]),
  ];
}

export function tookLine(summary: OutputSummary): string {
  const { seconds, bytesRead, bytesWritten } = summary;
  const speed = `${formatBytes((bytesRead + bytesWritten) / seconds)}/s`;
  return `  took      ${formatSeconds(seconds)} (${speed} read and written), ${formatBytes(summary.peakMemoryBytes)} of memory, ${summary.kernel} kernel, ${plural(summary.threads, "thread")}`;
}

/** The plan as a document, for `--dry-run --json`. */
export function planDocument(planned: PlanSummary): object {
  const { target, plan, fit, release, warnings } = planned;
  return {
    target,
    dryRun: true,
    release: release === null ? null : describeRelease(release),
    scale: plan.scale,
    ...layoutDocument(planned),
    notAdded: notAdded(plan),
    baseCheck: fit,
    warnings,
  };
}

/** What any plan's document says of tensors, files and sizes. */
export function layoutDocument({ plan, freeBytes, files, records }: PlannedOutput): object {
  return {
    tensors: countActions(plan),
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
  };
}

/** The plan for a terminal. */
export function formatPlan(planned: PlanSummary): string {
  const { plan, fit, release } = planned;
  return formatLayout(planned, {
    above: [
      ...(release === null ? [] : [`  release   ${describeRelease(release)}`]),
      ...(plan.scale === 1 ? [] : [`  scale     ${scaleText(plan.scale)}`]),
    ],
    below: fit === null ? [] : [`  base      ${fit.sentence}`],
  });
}

/** Any plan for a terminal: its layout, and lines of its own above and below the tensors and files. */
export function formatLayout(
  { target, plan, freeBytes, files, records }: PlannedOutput,
  { above, below }: Record<"above" | "below", readonly string[]>,
): string {
  const lines = [
    `plan for ${target} (nothing is written)`,
    ...above,
    `  tensors   ${formatCounts(countActions(plan))}, ${formatCount(plan.parameterCount)} parameters`,
    ...notAdded(plan).map(({ name, action, reason }) => `            ${action.padEnd(8)} ${name}: ${reason}`),
    `  weights   ${plural(plan.shards.length, "shard")}`,
    ...plan.shards.map(
      ({ fileName, byteLength, placed }) =>
        `            ${fileName}  ${formatBytes(byteLength)}  ${plural(placed.length, "tensor")}`,
    ),
    `  files     ${[...files.map(({ fileName }) => fileName), ...records].join(", ")}`,
    ...below,
    `  to read   ${formatBytes(plan.bytesToRead)}`,
    `  to write  ${formatBytes(plan.bytesToWrite)} (${formatBytes(freeBytes)} free)`,
  ];
  // Tensors' names come from files.
  return lines.map(printable).join("\n");
}

function formatCounts(counts: TensorCounts): string {
  return Object.entries(counts)
    .filter(([action, count]) => count > 0 || action === "added" || action === "subtracted")
    .map(([action, count]) => `${formatCount(count)} ${action}`)
    .join(", ");
}
