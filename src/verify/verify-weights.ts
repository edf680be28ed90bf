/**
 * Verifies every element of a target: is it finite, and, where the plan is known, is it what base and delta give? Each
 * byte of the target is read once, from the disk.
 */
import { closeSync } from "node:fs";
import { openDirect } from "../files/direct.js";
import { gather, openView } from "../files/gather.js";
import { type CompiledKernel, instantiateKernel } from "../kernel/select.js";
import type { MergePlan, PlannedTensor } from "../merge/merge-plan.js";
import { inputsOf, type MergeTask, mergeTasks } from "../merge/merge-tasks.js";
import { type NewRowsOptions, newRows } from "../merge/new-rows.js";
import { SUM_MEMORY_BYTES } from "../merge/sum-segment.js";
import {
  byteLengthOf,
  bytesOf,
  elementCount,
  type FloatDType,
  indexOf,
  isFloatDType,
  type OpenFile,
  type TensorView,
} from "../tensor.js";
import { runWorkers } from "../workers/pool.js";
import { readsOfJob } from "../workers/reads.js";
import { takeSample } from "../workers/sample.js";
import { SEGMENT_BYTES, segmentedJob } from "../workers/segments.js";
import { expectedElement } from "./expected-element.js";
import {
  BYTES_DONE,
  countersFor,
  type ElementCounts,
  readCounts,
  type VerifyJob,
  type VerifyTask,
} from "./verify-segments.js";

const JOB_MODULE = new URL("./verify-segments.js", import.meta.url).href;

export interface VerifyWeightsOptions {
  /** Tensors of the target. Those that hold no floats are left out. */
  readonly tensors: readonly TensorView[];
  /** Null: nothing is compared. Tensors are compared where name, shape and dtype are the plan's. */
  readonly plan: MergePlan | null;
  readonly kernel: CompiledKernel;
  readonly threads: number;
  readonly signal: AbortSignal | undefined;
  onProgress(bytesDone: number, bytesTotal: number): void;
}

/** Two elements that should be one. */
export interface Difference {
  /** In row-major order, from 0. */
  readonly element: number;
  /** The same as an index for each dimension. */
  readonly index: readonly number[];
  readonly expected: string;
  readonly got: string;
}

export interface TensorFindings extends ElementCounts {
  readonly tensor: TensorView;
  /** Whether it was compared with what base and delta give. */
  readonly isCompared: boolean;
  /** Null where nothing differs. */
  readonly difference: Difference | null;
}

/** Throws what reading throws, or `interrupted`. */
export async function verifyWeights(options: VerifyWeightsOptions): Promise<TensorFindings[]> {
  const { plan, kernel, threads, signal } = options;
  const tensors = options.tensors.filter(({ dtype }) => isFloatDType(dtype));
  const rows = plan === null ? new Map() : await newRows(plan, () => false, { kernel, signal });
  const tasksOf = groupTasks(plan, tensors, rows);
  const directFds = new Map<OpenFile, number | null>();
  try {
    for (const { file } of tensors) {
      if (!directFds.has(file)) directFds.set(file, openDirect(file.path));
    }
    const runs = tensors.flatMap((view, number) =>
      (tasksOf.get(view.name) ?? [null]).map((sum) =>
        verifyTask(view, number, sum, directFds.get(view.file) ?? null),
      ),
    );
    const job: VerifyJob = {
      ...segmentedJob(
        runs.filter(({ elementCount: count }) => count > 0),
        countersFor(tensors.length),
      ),
      kernel,
    };
    const bytesTotal = tensors.reduce((sum, view) => sum + byteLengthOf(view), 0);
    const onTick = () => options.onProgress(Number(Atomics.load(job.shared.counts, BYTES_DONE)), bytesTotal);
    const reads = readsOfJob(job, ({ sum }) => (sum === null ? [] : inputsOf(sum)));
    await runWorkers({ module: JOB_MODULE, job }, { threads, signal, reads, onTick });
    const findings: TensorFindings[] = [];
    for (const [number, tensor] of tensors.entries()) {
      const counts = readCounts(job, number);
      const tasks = tasksOf.get(tensor.name) ?? [];
      const { firstDifferent } = counts;
      const difference = await describeDifference(tensor, tasks, firstDifferent, { kernel, signal });
      findings.push({ ...counts, tensor, isCompared: tasks.length > 0, difference });
    }
    return findings;
  } finally {
    for (const fd of directFds.values()) if (fd !== null) closeSync(fd);
  }
}

/** Whether a tensor of the target is of the kind the plan makes. */
export function isAsPlanned({ shape, dtype }: TensorView, planned: PlannedTensor): boolean {
  return dtype === planned.dtype && shape.join() === planned.shape.join();
}

/** The tasks that make each tensor that can be compared, by name. */
function groupTasks(
  plan: MergePlan | null,
  tensors: readonly TensorView[],
  rows: ReadonlyMap<PlannedTensor, Uint8Array>,
): ReadonlyMap<string, MergeTask[]> {
  const groups = new Map<string, MergeTask[]>();
  if (plan === null) return groups;
  const views = new Map(tensors.map((view) => [view.name, view]));
  const planned = new Map(plan.tensors.map((tensor) => [tensor.name, tensor]));
  for (const task of mergeTasks(plan, rows, () => false)) {
    const view = views.get(task.tensor);
    if (view === undefined || !isAsPlanned(view, planned.get(task.tensor) as PlannedTensor)) continue;
    groups.set(task.tensor, [...(groups.get(task.tensor) ?? []), task]);
  }
  return groups;
}

function verifyTask(
  view: TensorView,
  tensor: number,
  sum: MergeTask | null,
  directFd: number | null,
): VerifyTask {
  const size = bytesOf(view.dtype as FloatDType);
  const segmentElements = sum?.segmentElements ?? SEGMENT_BYTES / size;
  const firstElement = sum?.firstElement ?? 0;
  return {
    tensor,
    target: openView(view),
    directFd,
    firstElement,
    sum,
    elementCount: sum?.elementCount ?? elementCount(view.shape),
    segmentElements,
    // As in a merge: later segments begin where pages do, which are then read once.
    lead: (Math.floor(view.offsetBytes / size) + firstElement) % segmentElements,
  };
}

async function describeDifference(
  view: TensorView,
  tasks: readonly MergeTask[],
  element: number | null,
  { kernel: compiled, signal }: NewRowsOptions,
): Promise<Difference | null> {
  const task = tasks.findLast(({ firstElement }) => firstElement <= (element ?? -1));
  if (element === null || task === undefined) return null;
  const kernel = instantiateKernel(compiled, SUM_MEMORY_BYTES);
  const text = (at: number) => {
    const size = bytesOf(task.dtype);
    const bits = Buffer.from(kernel.memory.slice(at, at + size))
      .reverse()
      .toString("hex");
    // Widened behind itself: in place there would be no room.
    const floatAt = at + bytesOf("F64");
    kernel.convert(task.dtype, "F32", at, floatAt, 1);
    const number = new DataView(kernel.memory.buffer, kernel.memory.byteOffset + floatAt).getFloat32(0, true);
    return `${number} (0x${bits})`;
  };
  kernel.memory.set(await takeSample(expectedElement, { task, element, kernel: compiled }, { signal }));
  const expected = text(0);
  gather(openView(view), element, 1, kernel.memory, 0);
  return { element, index: indexOf(element, view.shape), expected, got: text(0) };
}
