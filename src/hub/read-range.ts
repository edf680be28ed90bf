import type { HubFile } from "./hub-file.js";
import type { Retrier } from "./retry.js";

/**
 * A connection that brings less before it breaks has failed, so that one that gives a byte each time is given up as
 * one that gives none.
 */
const MEANINGFUL_BYTES = 16 * 1024;

/**
 * Streams the bytes from `start` to before `end`, going on where a connection broke. Every reader of the Hub's files
 * goes through here. Errors: what the last attempt ended in; `interrupted`.
 */
export async function* readRange(
  remote: HubFile,
  start: number,
  end: number,
  retrier: Retrier,
): AsyncGenerator<Uint8Array> {
  let at = start;
  for (let failures = 0; at < end; ) {
    await retrier.ready();
    const from = at;
    try {
      for await (const bytes of remote.read(at, end)) {
        at += bytes.length;
        if (at - from >= MEANINGFUL_BYTES) failures = 0;
        retrier.succeeded();
        yield bytes;
      }
    } catch (error) {
      await retrier.afterFailure(error, ++failures);
    }
  }
}
