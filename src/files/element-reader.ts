import { createLimit } from "../limit.js";
import { bitsOf, type DType } from "../tensor.js";
import { scatter } from "./gather.js";
import { READ_MARGIN_BYTES, Reader } from "./reader.js";
import { MAX_SCATTERED_BYTES, type OpenView, type Stretch, stretchesOf } from "./stretches.js";

/** WebAssembly's memory comes in these, and begins where a page of the system does. */
const WASM_PAGE_BYTES = 65_536;

/** Both sides of two segments. One at a time, a merge into a GGUF took half as long again. */
const SCATTERED_AT_ONCE = 4;

/** A thread's way to read elements of tensors whose files stay open: see `Reader`. */
export class ElementReader {
  readonly #reader = new Reader();
  readonly #scattering = createLimit(SCATTERED_AT_ONCE);
  /** Memory for what doesn't go to its place as it is, made when it is needed and then used again. */
  readonly #free: Uint8Array[] = [];
  readonly #onFailure: () => void;

  /** `onFailure` is called by `all`: others may wait for bytes that nobody needs any more. */
  constructor(onFailure: () => void) {
    this.#onFailure = onFailure;
  }

  /**
   * Reads elements [first, first + count) of the view, one at least, into a region of memory, as `Reader.read` does;
   * gives where they begin, a multiple of 8. Elements are whole bytes.
   */
  async read(
    view: OpenView<DType>,
    first: number,
    count: number,
    memory: Uint8Array,
    region: number,
    isFromDisk = false,
  ): Promise<number> {
    const byteLength = (count * bitsOf(view.dtype)) / 8;
    const [start] = stretchesOf(view, first, count);
    // Nearly always: all of it is one stretch.
    if (start !== undefined && start.levels.length === 0 && start.byteLength === byteLength)
      return await this.#reader.read(start, memory, region, isFromDisk);
    await this.#scattering.run(async () => {
      const pages = this.#free.pop() ?? pagesFor(MAX_SCATTERED_BYTES + READ_MARGIN_BYTES);
      for (const stretch of stretchesOf(view, first, count))
        await this.#readScattered(stretch, pages, memory, region, isFromDisk);
      this.#free.push(pages);
    });
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

  async #readScattered(
    stretch: Stretch,
    pages: Uint8Array,
    memory: Uint8Array,
    region: number,
    isFromDisk: boolean,
  ): Promise<void> {
    for (const part of partsOf(stretch)) {
      const at = await this.#reader.read(part, pages, 0, isFromDisk);
      scatter(part, pages, at, memory, region + part.rangeBytes);
    }
  }

  /** Closes what the reader opened. No read is under way. */
  close(): void {
    this.#reader.close();
  }
}

/** A stretch that goes to its place as it is may be longer than there is room. */
function* partsOf(stretch: Stretch): Generator<Stretch> {
  const { offsetBytes, byteLength, rangeBytes } = stretch;
  for (let at = 0; at < byteLength; at += MAX_SCATTERED_BYTES) {
    const length = Math.min(MAX_SCATTERED_BYTES, byteLength - at);
    const runBytes = stretch.levels.length === 0 ? length : stretch.runBytes;
    yield {
      ...stretch,
      offsetBytes: offsetBytes + at,
      byteLength: length,
      rangeBytes: rangeBytes + at,
      runBytes,
    };
  }
}

/** Memory that begins where a page does. */
function pagesFor(byteLength: number): Uint8Array {
  const pages = Math.ceil(byteLength / WASM_PAGE_BYTES);
  return new Uint8Array(new WebAssembly.Memory({ initial: pages, maximum: pages }).buffer);
}
