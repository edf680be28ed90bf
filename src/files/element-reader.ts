import { bitsOf, type DType } from "../tensor.js";
import { scatter } from "./gather.js";
import { READ_MARGIN_BYTES, Reader } from "./reader.js";
import { MAX_SCATTERED_BYTES, type OpenView, placeOf, type Stretch, stretchesOf } from "./stretches.js";

/** What a read needs beside the memory it fills. */
export const SCRATCH_BYTES = MAX_SCATTERED_BYTES + READ_MARGIN_BYTES;

/** Where a range is read to. Both begin where pages do, and are apart from each other. */
export interface ReadPlace {
  readonly memory: Uint8Array;
  /** Room for the range, and for `READ_MARGIN_BYTES` more. */
  readonly region: number;
  /** `SCRATCH_BYTES` for what doesn't go to its place as it is; untouched where all of it does. */
  readonly scratch: number;
}

/** A thread's way to read elements of tensors whose files stay open: see `Reader`. */
export class ElementReader {
  readonly #reader = new Reader();
  readonly #onFailure: () => void;

  /** `onFailure` is called by `all`: others may wait for bytes that nobody needs any more. */
  constructor(onFailure: () => void) {
    this.#onFailure = onFailure;
  }

  /**
   * Reads elements [first, first + count) of the view, one at least, as `Reader.read` does; gives where in memory they
   * begin, a multiple of 8. Elements are whole bytes.
   */
  async read(
    view: OpenView<DType>,
    first: number,
    count: number,
    { memory, region, scratch }: ReadPlace,
    isFromDisk = false,
  ): Promise<number> {
    const byteLength = (count * bitsOf(view.dtype)) / 8;
    const stretches = stretchesOf(view, first, count);
    let next = stretches.next();
    // Nearly always: all of it is one stretch.
    if (next.value?.byteLength === byteLength && placeOf(next.value) !== null)
      return await this.#reader.read(next.value, memory, region, isFromDisk);
    for (; next.done !== true; next = stretches.next()) {
      for (const part of partsOf(next.value)) {
        const at = await this.#reader.read(part, memory, scratch, isFromDisk);
        scatter(part, memory, at, memory, region);
      }
    }
    return region;
  }

  /**
   * What several reads give. When it resolves or throws, all have ended: none goes on in memory that nobody waits for.
   * Throws what failed first.
   */
  async all<const Reads extends readonly unknown[]>(
    reads: Reads,
  ): Promise<{ -readonly [I in keyof Reads]: Awaited<Reads[I]> }> {
    const all = Promise.all(reads);
    all.catch(this.#onFailure);
    await Promise.allSettled(reads);
    return await all;
  }

  /** Closes what the reader opened. No read is under way. */
  close(): void {
    this.#reader.close();
  }
}

/** A stretch that goes to its place as it is may be longer than there is room. */
function* partsOf(stretch: Stretch): Generator<Stretch> {
  if (stretch.byteLength <= MAX_SCATTERED_BYTES) {
    yield stretch;
    return;
  }
  const [{ rangeBytes }] = stretch.runs;
  for (let at = 0; at < stretch.byteLength; at += MAX_SCATTERED_BYTES) {
    const byteLength = Math.min(MAX_SCATTERED_BYTES, stretch.byteLength - at);
    const offsetBytes = stretch.offsetBytes + at;
    const runs = { offsetBytes, rangeBytes: rangeBytes + at, runBytes: byteLength, levels: [] };
    yield { ...stretch, offsetBytes, byteLength, runs: [runs] };
  }
}
