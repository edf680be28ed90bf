import { closeSync, openSync, readSync } from "node:fs";

/** Of the calling thread, and of no other (proc_pid_io(5)); the file is short. */
const COUNTERS = "/proc/thread-self/io";
const COUNTERS_BYTES = 512;

/**
 * What Linux counts of a thread's reads: the bytes that were fetched from a disk, since the page cache didn't have them.
 * Elsewhere, and where /proc isn't to be seen, there is no count.
 */
export class DiskReads {
  readonly #text = Buffer.alloc(COUNTERS_BYTES);
  #fd: number | null | undefined;

  /** How many bytes `reading` took from a disk in this thread; null where that isn't counted. */
  during(reading: () => void): number | null {
    const before = this.#bytes();
    reading();
    const after = this.#bytes();
    return before === null || after === null ? null : after - before;
  }

  close(): void {
    if (typeof this.#fd === "number") closeSync(this.#fd);
    this.#fd = undefined;
  }

  /** Since the thread began. */
  #bytes(): number | null {
    try {
      this.#fd ??= openSync(COUNTERS, "r");
      const length = readSync(this.#fd, this.#text, 0, COUNTERS_BYTES, 0);
      const [, bytes] = /^read_bytes: (\d+)$/m.exec(this.#text.toString("latin1", 0, length)) ?? [];
      return bytes === undefined ? null : Number(bytes);
    } catch {
      return null;
    }
  }
}
