import type { FileRange } from "../files/exchange.js";
import type { Range } from "./ranges.js";

/** A part of a file to be fetched at once. */
export interface JoinedRequest {
  /** The file's number in its exchange. */
  readonly file: number;
  readonly start: number;
  readonly end: number;
  /** What of it will be read, in order; between them are gaps. */
  readonly wanted: readonly Range[];
}

export interface JoinOptions {
  /** A request is no longer, unless one range is. */
  readonly mostBytes: number;
  /** Bytes that are fetched for nothing rather than asked for around. */
  readonly gapBytes: number;
}

interface OpenRequest {
  readonly file: number;
  readonly start: number;
  end: number;
  readonly wanted: Range[];
  isClosed: boolean;
}

/**
 * Joins ranges that are neighbours in a file into requests worth a round trip, in about the order in which they will be
 * read. Leaves out ranges of local files. Lazy, so that a model's plan needn't be held twice.
 */
export function* joinRanges(
  ranges: Iterable<FileRange>,
  { mostBytes, gapBytes }: JoinOptions,
): Generator<JoinedRequest> {
  const open = new Map<number, OpenRequest>();
  // In the order of their first ranges. Several files are read in turns, so several grow at once.
  const queue: OpenRequest[] = [];
  let queuedBytes = 0;
  const take = (): JoinedRequest => {
    const request = queue.shift() as OpenRequest;
    if (open.get(request.file) === request) open.delete(request.file);
    queuedBytes -= request.end - request.start;
    return request;
  };
  for (const { fd, offsetBytes: start, byteLength } of ranges) {
    if (typeof fd === "number" || byteLength === 0) continue;
    const { file } = fd;
    const end = start + byteLength;
    const grown = open.get(file);
    const gap = grown === undefined ? 0 : start - grown.end;
    if (grown !== undefined && gap >= 0 && gap <= gapBytes && end - grown.start <= mostBytes) {
      const last = grown.wanted.at(-1) as Range;
      if (gap === 0) grown.wanted.splice(-1, 1, [last[0], end]);
      else grown.wanted.push([start, end]);
      queuedBytes += end - grown.end;
      grown.end = end;
    } else {
      if (grown !== undefined) grown.isClosed = true;
      const request = { file, start, end, wanted: [[start, end] as const], isClosed: false };
      open.set(file, request);
      queue.push(request);
      queuedBytes += byteLength;
    }
    // A file that isn't read for a while must not keep its beginning back.
    while (queue[0] !== undefined && (queue[0].isClosed || queuedBytes > 2 * open.size * mostBytes))
      yield take();
  }
  while (queue.length > 0) yield take();
}
