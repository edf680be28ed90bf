/**
 * In: the body of an answer. Out: the same bytes.
 * Guards: an answer ends. A server that sends a byte now and then would otherwise keep a request alive for ever, and
 * one that never stops would fill the memory.
 */
import { ProtocolError } from "./answers.js";

export interface BodyBounds {
  /** In each such time so many bytes arrive at least, or the answer counts as fallen silent. */
  readonly stallMs: number;
  readonly mostBytes?: number;
  /** Longer than this no answer takes. */
  readonly mostMs?: number;
}

/** In each `stallMs`: a hundredth of what a modem of the nineties gave each of eight connections. */
const LEAST_BYTES = 1024;

/** Errors: an `ProtocolError` that is too long; an error of the network where it is too slow. */
export async function* boundedBody(
  body: AsyncIterable<Uint8Array> | null,
  { stallMs, mostBytes = Number.POSITIVE_INFINITY, mostMs = Number.POSITIVE_INFINITY }: BodyBounds,
): AsyncGenerator<Uint8Array> {
  const start = performance.now();
  let window = { start, byteLength: 0 };
  let byteLength = 0;
  // That something arrives at all within `stallMs` is the connection's to watch: time is looked at when bytes come.
  for await (const bytes of body ?? []) {
    const now = performance.now();
    byteLength += bytes.length;
    window.byteLength += bytes.length;
    if (byteLength > mostBytes) throw new ProtocolError(`an answer of more than ${mostBytes} bytes`);
    if (now - start > mostMs) throw tooSlow();
    if (now - window.start > stallMs) {
      if (window.byteLength < LEAST_BYTES) throw tooSlow();
      window = { start: now, byteLength: 0 };
    }
    yield bytes;
  }
}

function tooSlow(): Error {
  return Object.assign(new Error("the answer comes too slowly"), { code: "UND_ERR_BODY_TIMEOUT" });
}
