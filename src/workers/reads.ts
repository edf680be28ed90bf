/** The ranges of files that a job will read, in its order, for whoever fetches them ahead; null where all are local. */
import type { FileRange, ReadAhead } from "../files/exchange.js";
import type { OpenView } from "../files/gather.js";
import { stretchesOf } from "../files/stretches.js";
import { type DType, filesOf, type ReadableFile } from "../tensor.js";
import { type Run, type SegmentedJob, segmentRange, segmentsOf } from "./segments.js";

/** A range of a view's elements. */
export interface ViewRange {
  readonly view: OpenView<DType>;
  readonly first: number;
  readonly count: number;
}

/** A view that a run reads; its segments begin `firstElement` further on. */
export interface RunInput {
  readonly view: OpenView<DType>;
  readonly firstElement: number;
}

/** `inputsOf`: what a run reads of each segment, in that order. */
export function readsOfJob<R extends Run>(
  job: SegmentedJob<R>,
  inputsOf: (run: R) => readonly RunInput[],
): ReadAhead | null {
  const files = job.runs.flatMap((run) => inputsOf(run).flatMap(({ view }) => filesOf(view)));
  return readsOf(files, segmentReads(job, inputsOf));
}

/** `ranges` are of some of `files`. */
export function readsOf(files: readonly ReadableFile[], ranges: Iterable<ViewRange>): ReadAhead | null {
  return readsOfFiles(files, fileRanges(ranges));
}

/** As `readsOf`. */
export function readsOfFiles(files: readonly ReadableFile[], ranges: Iterable<FileRange>): ReadAhead | null {
  const remote = files.map(({ fd }) => fd).find((fd) => typeof fd !== "number");
  return remote === undefined ? null : { exchange: remote.exchange, ranges };
}

function* segmentReads<R extends Run>(
  { runs }: SegmentedJob<R>,
  inputsOf: (run: R) => readonly RunInput[],
): Generator<ViewRange> {
  for (const run of runs) {
    const inputs = inputsOf(run);
    for (let number = 0; number < segmentsOf(run); number++) {
      const { first, count } = segmentRange(run, number);
      for (const { view, firstElement } of inputs) yield { view, first: firstElement + first, count };
    }
  }
}

function* fileRanges(ranges: Iterable<ViewRange>): Generator<FileRange> {
  for (const { view, first, count } of ranges)
    for (const { file, offsetBytes, byteLength } of stretchesOf(view, first, count))
      if (typeof file.fd !== "number") yield { fd: file.fd, offsetBytes, byteLength };
}
