import { ProtocolError } from "./answers.js";

export interface BodyBounds {
  /** An answer with less than 1 KiB in this time has fallen silent. */
  readonly stallMs: number;
  readonly mostBytes?: number;
  /** The longest time for the whole answer. */
  readonly mostMs?: number;
}

/** In each `stallMs`: a hundredth of what a modem of the nineties gave each of eight connections. */
const LEAST_BYTES = 1024;

/**
 * The bytes of an answer that must end: a server that sends a byte now and then would keep a request alive for ever,
 * and one that never stops would fill the memory. Errors: a `ProtocolError` for one that is too long, an error of the
 * network for one that is too slow.
 */
export async function* boundedBody(
  body: AsyncIterable<Uint8Array> | null,
  { stallMs, mostBytes = Number.POSITIVE_INFINITY, mostMs = Number.POSITIVE_INFINITY }: BodyBounds,
): AsyncGenerator<Uint8Array> {
  const start = performance.now();
  let window = { start, byteLength: 0 };
  let byteLength = 0;
  // The connection watches that something arrives at all within `stallMs`.
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
