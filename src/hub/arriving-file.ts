import { closeSync, openSync } from "node:fs";
import { onCache } from "./cache.js";

/** A file on its way into the cache, for those who wait to read it: nobody gets a byte before all of it was checked. */
export class ArrivingFile {
  #fd: number | null = null;
  readonly #waiting: ((fd: number) => void)[] = [];

  /** Calls `answer`, once the file is whole, with a descriptor by which any thread can read it. */
  whenWhole(answer: (fd: number) => void): void {
    if (this.#fd === null) this.#waiting.push(answer);
    else answer(this.#fd);
  }

  arrive(path: string): void {
    const fd = onCache(path, () => openSync(path, "r"));
    this.#fd = fd;
    for (const answer of this.#waiting.splice(0)) answer(fd);
  }

  /** Nobody reads it any more. May be called again. */
  close(): void {
    if (this.#fd !== null) closeSync(this.#fd);
    this.#fd = null;
  }
}
