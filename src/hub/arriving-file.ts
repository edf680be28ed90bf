import { closeSync, openSync } from "node:fs";
import { onCache } from "./cache.js";

interface Reading {
  readonly start: number;
  readonly end: number;
  answer(fd: number): void;
}

/** Whether the bytes from `start` to before `end` are in the file. */
export type HasBytes = (start: number, end: number) => boolean;

/** A file on its way into the cache, for those who read it meanwhile. Checked once all is there. */
export class ArrivingFile {
  #file: { readonly fd: number; readonly has: HasBytes } | null = null;
  #waiting: Reading[] = [];
  #wasRead = false;
  /** Whether bytes were read that turned out to be damaged. */
  wasDamaged = false;

  /** Calls `answer`, once the bytes are there, with a descriptor by which any thread can read them. */
  whenThere(start: number, end: number, answer: (fd: number) => void): void {
    this.#waiting.push({ start, end, answer });
    this.advance();
  }

  /** The file has been made, or is whole. It may be renamed, but keeps its bytes. */
  begin(path: string, has: HasBytes): void {
    this.close();
    this.#file = { fd: onCache(path, () => openSync(path, "r")), has };
    this.advance();
  }

  /** More bytes are there. */
  advance(): void {
    const file = this.#file;
    if (file === null || this.#waiting.length === 0) return;
    const [waiting, answered] = [[] as Reading[], [] as Reading[]];
    for (const reading of this.#waiting)
      (file.has(reading.start, reading.end) ? answered : waiting).push(reading);
    this.#waiting = waiting;
    this.#wasRead ||= answered.length > 0;
    for (const { answer } of answered) answer(file.fd);
  }

  /** What had arrived was damaged, and comes again. */
  startOver(): void {
    this.wasDamaged ||= this.#wasRead;
  }

  /** Nobody reads it any more. */
  close(): void {
    if (this.#file !== null) closeSync(this.#file.fd);
    this.#file = null;
  }
}
