/**
 * What a merge reports: the documents that `--json` prints, and the same for people.
 * Pure: values in, values and text out.
 */

import type { Fit } from "../plan/judge-fit.js";
import {
  countActions,
  type MergePlan,
  type NotAdded,
  notAdded,
  type TensorCounts,
} from "../plan/merge-plan.js";
import { printable } from "../printable.js";
import { describeRelease, type RecognizedRelease } from "../vicuna/recognize.js";
import { type Palette, PLAIN } from "./terminal.js";
import { formatBytes, formatCount, formatSeconds, plural } from "./units.js";

/** What is told of a folder that was made, whatever is in it. */
export interface OutputSummary {
  /** How many tensors each thing happened to. */
  readonly tensors: TensorCounts;
  /** The weights files. */
  readonly shards: readonly ShardSummary[];
  /** File names of the shards that an interrupted run had finished. */
  readonly keptShards: readonly string[];
  /** Bytes of weights in the sources; what was read for shards that were kept is among them. */
  readonly bytesRead: number;
  /** Of what was read, headers and samples too, what came from the Hub without being stored. */
  readonly bytesStreamed: number;
  /** Bytes of the weights files. */
  readonly bytesWritten: number;
  /** From the call to its end. */
  readonly seconds: number;
  /** Highest resident memory of the whole process so far. */
  readonly peakMemoryBytes: number;
  /** The kernel that did the arithmetic. */
  readonly kernel: "simd" | "reference";
  /** Worker threads. */
  readonly threads: number;
  /** What may be wrong, a sentence each. */
  readonly warnings: readonly string[];
}

/** A weights file that was written. */
export interface ShardSummary {
  /** Its name. */
  readonly file: string;
  /** Its size. */
  readonly bytes: number;
}

/** What a merge made: what the command prints with `--json`. */
export interface MergeSummary extends OutputSummary {
  /** The real path of the folder. */
  readonly target: string;
  /** The delta's release and what works with it, or null where it isn't recognised. */
  readonly release: string | null;
  /** What the delta was multiplied by. */
  readonly scale: number;
  /** The verdict on the base; null where the check was skipped. */
  readonly baseCheck: Fit | null;
  /** Whether the target was read back and compared before it was published. */
  readonly verified: boolean;
}

function scaleText(scale: number): string {
  return `target = base + ${scale} * delta`;
}

/** The part of anything prepared that a dry run shows. */
export interface PlannedOutput {
  readonly plan: MergePlan;
  readonly freeBytes: number;
  readonly files: readonly { readonly fileName: string }[];
  /** Names of the files that record what was made, written after the others. */
  readonly records: readonly string[];
}

/** The part of a prepared merge that a dry run shows. */
export interface PlanSummary extends PlannedOutput {
  readonly target: string;
  readonly fit: Fit | null;
  readonly release: RecognizedRelease | null;
  readonly warnings: readonly string[];
}

/** What any plan says of tensors, files and sizes. */
export interface LayoutDocument {
  /** How many tensors each thing will happen to. */
  readonly tensors: TensorCounts;
  /** The weights files that will be written. */
  readonly shards: readonly PlannedShardDocument[];
  /** Names of the files that will stand beside them. */
  readonly files: readonly string[];
  /** Elements of all tensors that will be written. */
  readonly parameters: number;
  /** Bytes of weights to read, of both sides. */
  readonly bytesToRead: number;
  /** Bytes of the weights files to write. */
  readonly bytesToWrite: number;
  /** Free bytes where the folder will be made. */
  readonly freeBytes: number;
}

/** A weights file that will be written. */
export interface PlannedShardDocument {
  /** Its name. */
  readonly file: string;
  /** Its size. */
  readonly bytes: number;
  /** How many tensors are in it. */
  readonly tensors: number;
}

/** What a merge would do: what `--dry-run` prints. */
export interface MergePlanDocument extends LayoutDocument {
  /** The real path of the folder to make. */
  readonly target: string;
  /** Tells it from a summary. */
  readonly dryRun: true;
  /** The delta's release and what works with it, or null where it isn't recognised. */
  readonly release: string | null;
  /** What the delta will be multiplied by. */
  readonly scale: number;
  /** Every tensor that won't simply be added, with the reason. */
  readonly notAdded: readonly NotAdded[];
  /** The verdict on the base; null where the check was skipped. */
  readonly baseCheck: Fit | null;
  /** What may be wrong, a sentence each. */
  readonly warnings: readonly string[];
}

/** The summary for a terminal. */
export function formatSummary(summary: MergeSummary, paint: Palette = PLAIN): string {
  return [
    paint.strong(printable(summary.target)),
    ...(summary.release === null ? [] : [`  release   ${summary.release}`]),
    ...(summary.scale === 1 ? [] : [`  scale     ${scaleText(summary.scale)}`]),
    ...weightsLines(summary),
    ...baseLines(summary.baseCheck, paint),
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
  const { seconds, bytesRead, bytesWritten, keptShards } = summary;
  // What an interrupted run had done took its time, not this one's.
  const speed =
    keptShards.length > 0 ? "" : ` (${formatBytes((bytesRead + bytesWritten) / seconds)}/s read and written)`;
  return `  took      ${formatSeconds(seconds)}${speed}, ${formatBytes(summary.peakMemoryBytes)} of memory, ${summary.kernel} kernel, ${plural(summary.threads, "thread")}`;
}

/** The plan as a document, for `--dry-run --json`. */
export function planDocument(planned: PlanSummary): MergePlanDocument {
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
export function layoutDocument({ plan, freeBytes, files, records }: PlannedOutput): LayoutDocument {
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
export function formatPlan(document: MergePlanDocument, paint: Palette = PLAIN): string {
  const { target, release, scale, notAdded: others, baseCheck } = document;
  return formatLayout(document, {
    target,
    others,
    above: [
      ...(release === null ? [] : [printable(`  release   ${release}`)]),
      ...(scale === 1 ? [] : [`  scale     ${scaleText(scale)}`]),
    ],
    below: baseLines(baseCheck, paint),
    paint,
  });
}

function baseLines(fit: Fit | null, paint: Palette): string[] {
  if (fit === null) return [];
  const sentence = printable(fit.sentence);
  return [`  base      ${fit.verdict === "exact" ? paint.good(sentence) : sentence}`];
}

/** What a plan says besides its layout. */
export interface LayoutSurroundings {
  /** The folder to make. */
  readonly target: string;
  readonly others: readonly NotAdded[];
  /** Lines above the tensors, and below the files, printable as they are. */
  readonly above: readonly string[];
  readonly below: readonly string[];
  readonly paint: Palette;
}

/** Any plan for a terminal. */
export function formatLayout(
  { tensors, shards, files, parameters, bytesToRead, bytesToWrite, freeBytes }: LayoutDocument,
  { target, others, above, below, paint }: LayoutSurroundings,
): string {
  const layout = [
    `  tensors   ${formatCounts(tensors)}, ${formatCount(parameters)} parameters`,
    ...others.map(({ name, action, reason }) => `            ${action.padEnd(8)} ${name}: ${reason}`),
    `  weights   ${plural(shards.length, "shard")}`,
    ...shards.map(
      (shard) => `            ${shard.file}  ${formatBytes(shard.bytes)}  ${plural(shard.tensors, "tensor")}`,
    ),
    `  files     ${files.join(", ")}`,
  ];
  return [
    `plan for ${paint.strong(printable(target))} (nothing is written)`,
    ...above,
    // Tensors' names come from files.
    ...layout.map(printable),
    ...below,
    `  to read   ${formatBytes(bytesToRead)}`,
    `  to write  ${formatBytes(bytesToWrite)} (${formatBytes(freeBytes)} free)`,
  ].join("\n");
}

function formatCounts(counts: TensorCounts): string {
  return Object.entries(counts)
    .filter(([action, count]) => count > 0 || action === "added" || action === "subtracted")
    .map(([action, count]) => `${formatCount(count)} ${action}`)
    .join(", ");
}
