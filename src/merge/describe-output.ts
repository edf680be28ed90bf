/** What apply and make both report of their folder. */
import { readFileSync } from "node:fs";
import { resourceUsage } from "node:process";
import { bytesFetchedOf } from "../formats/open.js";
import type { LayoutDocument, OutputSummary } from "./documents.js";
import { countActions } from "./merge-plan.js";
import type { WeightsOutput } from "./write-shards.js";

/** What the plan says of tensors, files and sizes. `fileNames`: those of all files beside the weights. */
export function describeLayout(
  { plan }: WeightsOutput,
  fileNames: readonly string[],
  freeBytes: number,
): LayoutDocument {
  return {
    tensors: countActions(plan),
    shards: plan.shards.map(({ fileName, byteLength, placed }) => {
      return { file: fileName, bytes: byteLength, tensors: placed.length };
    }),
    files: fileNames,
    parameters: plan.parameterCount,
    bytesToRead: plan.bytesToRead,
    bytesToWrite: plan.bytesToWrite,
    freeBytes,
  };
}

/** The figures of a folder that was made. `start`: when the call began, by `performance.now()`. */
export function summarizeOutput(
  { plan, sources, kernel, threads }: WeightsOutput,
  keptShards: readonly string[],
  start: number,
): Omit<OutputSummary, "warnings"> {
  return {
    tensors: countActions(plan),
    shards: plan.shards.map(({ fileName, byteLength }) => ({ file: fileName, bytes: byteLength })),
    keptShards,
    bytesRead: plan.bytesToRead,
    bytesStreamed: bytesFetchedOf(Object.values(sources)),
    bytesWritten: plan.bytesToWrite,
    seconds: (performance.now() - start) / 1000,
    peakMemoryBytes: peakMemoryBytes(),
    kernel: kernel.name,
    threads: Math.max(1, threads),
  };
}

/** Largest resident memory so far. `maxRSS` counts what ran in this process before exec, too; Linux has a truer figure. */
export function peakMemoryBytes(): number {
  try {
    const kibibytes = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync("/proc/self/status", "latin1"))?.[1];
    if (kibibytes !== undefined) return Number(kibibytes) * 1024;
  } catch {
    // Not on Linux.
  }
  return resourceUsage().maxRSS * 1024;
}
