import type { ActionCounts, LayoutDocument, NotAdded, OutputSummary } from "../merge/documents.js";
import { printable } from "../printable.js";
import { formatBytes, formatCount, formatSeconds, plural } from "../units.js";
import type { Palette } from "./terminal.js";

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

/** What a plan says besides its layout. */
export interface LayoutSurroundings {
  readonly target: string;
  readonly others: readonly NotAdded[];
  /** Lines above the tensors, and below the files, printable as they are. */
  readonly above: readonly string[];
  readonly below: readonly string[];
  readonly paint: Palette;
}

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

function formatCounts(counts: ActionCounts): string {
  return Object.entries(counts)
    .filter(([action, count]) => count > 0 || action === "added" || action === "subtracted")
    .map(([action, count]) => `${formatCount(count)} ${action}`)
    .join(", ");
}
