/** Work cut into segments that any worker can take: runs of elements, a shared counter, a stop flag. */
import { setImmediate } from "node:timers/promises";

/** The largest of a segment's ranges. Larger ones are no faster with several in hand, and take more memory. */
export const SEGMENT_BYTES = 1024 * 1024;

/** Of a segment that can't be shorter without being read twice: a head of q or k has 1 MiB at 7B, and 2 MiB at 65B. */
export const LARGEST_SEGMENT_BYTES = 2 * SEGMENT_BYTES;

/** Segments a thread has in hand: while one is summed, another is read or written. */
export const SEGMENTS_AT_ONCE = 2;

/** Elements that are all treated the same way. */
export interface Run {
  readonly elementCount: number;
  readonly segmentElements: number;
  /** The first segment is shorter by so many elements, so that all later ones begin where pages do. */
  readonly lead: number;
}

/** A run, with the number of its first segment among all of the job. */
export type NumberedRun<R extends Run> = R & { readonly firstSegment: number };

/** Work for a pool. It goes to the workers as it is: plain data and shared memory. */
export interface SegmentedJob<R extends Run = Run> {
  readonly runs: readonly NumberedRun<R>[];
  readonly segmentCount: number;
  readonly shared: SharedCounters;
}

/** Counters all threads share. */
export interface SharedCounters {
  readonly control: Int32Array<SharedArrayBuffer>;
  /** What the job counts as it goes, for example bytes written to each shard. */
  readonly counts: BigInt64Array<SharedArrayBuffer>;
}

/** Indices into `control`. */
const NEXT_SEGMENT = 0;
const STOP = 1;

/** Numbers the segments of all runs and makes the counters, all zero. */
export function segmentedJob<R extends Run>(runs: readonly R[], countsLength: number): SegmentedJob<R> {
  let segmentCount = 0;
  const numbered = runs.map((run) => {
    const firstSegment = segmentCount;
    segmentCount += segmentsOf(run);
    return { ...run, firstSegment };
  });
  const shared = {
    control: new Int32Array(new SharedArrayBuffer(8)),
    counts: new BigInt64Array(new SharedArrayBuffer(8 * Math.max(1, countsLength))),
  };
  return { runs: numbered, segmentCount, shared };
}

/** Makes every thread end after the segment it is at. */
export function stopWorkers({ control }: SharedCounters): void {
  Atomics.store(control, STOP, 1);
}

export function isStopped({ control }: SharedCounters): boolean {
  return Atomics.load(control, STOP) !== 0;
}

/** How many segments a run is cut into. */
export function segmentsOf({ lead, elementCount, segmentElements }: Run): number {
  return Math.ceil((lead + elementCount) / segmentElements);
}

/** The elements of a run's segment; `number` counts from 0 within the run. */
export function segmentRange(
  { lead, elementCount, segmentElements }: Run,
  number: number,
): { first: number; count: number } {
  const first = Math.max(0, number * segmentElements - lead);
  const end = Math.min((number + 1) * segmentElements - lead, elementCount);
  return { first, count: end - first };
}

/** Elements [first, first + count) of a run. */
export interface Segment<R extends Run> {
  readonly run: R;
  readonly first: number;
  readonly count: number;
  /** Among all segments of the job. */
  readonly number: number;
}

/** Takes segments until none is left or the job is stopped; each is taken once, by whichever thread comes first. */
export function* takeSegments<R extends Run>({
  runs,
  segmentCount,
  shared,
}: SegmentedJob<R>): Generator<Segment<R>> {
  let at = 0;
  while (!isStopped(shared)) {
    const number = Atomics.add(shared.control, NEXT_SEGMENT, 1);
    if (number >= segmentCount) return;
    // The last run that starts at or before it; a thread's numbers only rise.
    while ((runs[at + 1]?.firstSegment ?? segmentCount) <= number) at++;
    const run = runs[at] as NumberedRun<R>;
    yield { run, ...segmentRange(run, number - run.firstSegment), number };
  }
}

/**
 * Takes segments, `places` of them at once, and works on each in a place of its own: while one is summed, others are
 * read and written. Throws the first error; by then none is worked on.
 */
export async function workOnSegments<R extends Run>(
  job: SegmentedJob<R>,
  places: number,
  work: (segment: Segment<R>, place: number) => Promise<void>,
): Promise<void> {
  const errors: unknown[] = [];
  const workOn = async (place: number) => {
    try {
      for (const segment of takeSegments(job)) {
        await work(segment, place);
        // Where this place's reads and writes need no waiting, another's would otherwise be done only at the end.
        await setImmediate();
      }
    } catch (error) {
      errors.push(error);
      stopWorkers(job.shared);
    }
  };
  await Promise.all(Array.from({ length: places }, (_, place) => workOn(place)));
  if (errors.length > 0) throw errors[0];
}

/** Lowers a counter to `value`, where it is 0 or more than that. */
export function lower(counts: BigInt64Array<SharedArrayBuffer>, at: number, value: bigint): void {
  for (let seen = Atomics.load(counts, at); seen === 0n || seen > value; ) {
    const now = Atomics.compareExchange(counts, at, seen, value);
    if (now === seen) return;
    seen = now;
  }
}
