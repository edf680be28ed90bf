/**
 * Verifies every element of a target in worker threads: is it finite, and, where the plan is known, is it what base and
 * delta give? Each byte of the target is read once, from the disk; the sum is made again in the kernel's memory.
 */
import { openView } from "../files/gather.js";
import type { CompiledKernel } from "../kernel/select.js";
import { type MergePlan, type PlannedTensor, storedNameOf } from "../merge/merge-plan.js";
import { inputsOf, leadOf, type MergeTask, mergeTasks } from "../merge/merge-tasks.js";
import { newRows } from "../merge/new-rows.js";
import {
  bitsOf,
  blockElements,
  byteLengthOf,
  elementCount,
  holdsNumbers,
  type NumberDType,
  type TensorView,
} from "../tensor.js";
import { runWorkers } from "../workers/pool.js";
import { readsOfJob } from "../workers/reads.js";
import { SEGMENT_BYTES, segmentedJob } from "../workers/segments.js";
import {
  addFindings,
  BYTES_DONE,
  type Findings,
  type FindingsByTensor,
  NOTHING,
  type VerifyJob,
  type VerifyTask,
} from "./verify-segments.js";

export interface VerifyWeightsOptions {
  /** Tensors of the target. Those of dtypes that this program doesn't read as numbers are left out. */
  readonly tensors: readonly TensorView[];
  /** Null: nothing is compared. Tensors are compared where name, shape and dtype are the plan's. */
  readonly plan: MergePlan | null;
  readonly kernel: CompiledKernel;
  readonly threads: number;
  readonly signal: AbortSignal | undefined;
  onProgress(bytesDone: number, bytesTotal: number): void;
}

export interface TensorFindings extends Findings {
  readonly tensor: TensorView;
  /** Whether it was compared with what base and delta give. */
  readonly isCompared: boolean;
}

const JOB_MODULE = new URL("./verify-segments.js", import.meta.url).href;

/** Throws what reading throws, or `interrupted`. */
export async function verifyWeights(options: VerifyWeightsOptions): Promise<TensorFindings[]> {
  const { plan, kernel, threads, signal } = options;
  const tensors = options.tensors.filter(({ dtype }) => holdsNumbers(dtype));
  const rows = plan === null ? new Map() : await newRows(plan, () => false, kernel, signal);
  const tasksOf = groupTasks(plan, tensors, rows);
  const runs = tensors.flatMap((view, number) =>
    (tasksOf.get(view.name) ?? [null]).map((sum) => verifyTask(view, number, sum)),
  );
  const filled = runs.filter((run) => run.elementCount > 0);
  const job: VerifyJob = { ...segmentedJob(filled, 1), kernel };
  const bytesTotal = tensors.reduce((sum, view) => sum + byteLengthOf(view), 0);
  const onTick = () => options.onProgress(Number(Atomics.load(job.shared.counts, BYTES_DONE)), bytesTotal);
  const reads = readsOfJob(job, ({ target, firstElement, sum }) => [
    { view: target, firstElement },
    ...(sum === null ? [] : inputsOf(sum)),
  ]);
  const work = { module: JOB_MODULE, job };
  const found = (await runWorkers(work, { threads, signal, reads, onTick })) as FindingsByTensor[];
  return tensors.map((tensor, number) => ({
    ...found.map((ofWorker) => ofWorker.get(number) ?? NOTHING).reduce(addFindings),
    tensor,
    isCompared: tasksOf.has(tensor.name),
  }));
}

/** Whether a tensor of the target is of the kind the plan makes. */
function isAsPlanned({ shape, dtype }: TensorView, planned: PlannedTensor): boolean {
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
  for (const task of mergeTasks(plan, rows, () => false)) {
    const planned = plan.tensors[task.tensorNumber] as PlannedTensor;
    const name = storedNameOf(planned);
    const view = views.get(name);
    if (view === undefined || !isAsPlanned(view, planned)) continue;
    groups.set(name, [...(groups.get(name) ?? []), task]);
  }
  return groups;
}

function verifyTask(view: TensorView, tensor: number, sum: MergeTask | null): VerifyTask {
  const size = bitsOf(view.dtype) / 8;
  const block = blockElements(view.dtype);
  const segmentElements = sum?.segmentElements ?? Math.floor(SEGMENT_BYTES / (size * block)) * block;
  const firstElement = sum?.firstElement ?? 0;
  return {
    tensor,
    target: openView<NumberDType>(view),
    firstElement,
    sum,
    elementCount: sum?.elementCount ?? elementCount(view.shape),
    segmentElements,
    // As in a merge: no page is read for two segments.
    lead: leadOf(view.pieces[0].offsetBytes + firstElement * size, view.dtype),
  };
}
