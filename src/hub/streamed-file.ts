/**
 * In: a weights file on the Hub. Out: the same as an open file: its header is read here, as it is asked for; its
 * tensors' bytes go to the threads through the window.
 * Guards: a byte of the header is fetched once, however often it is read; a read gives what was asked for or a typed
 * error. The file is one of a commit, which never changes: that the Hub's answers agree in size and ETag, hub.ts sees to.
 */

import { ApplyDeltaError } from "../errors.js";
import { throwIfAborted } from "../interrupt.js";
import type { Limit } from "../limit.js";
import type { OpenFile } from "../tensor.js";
import { readRange } from "./download.js";
import type { HubEntry, RemoteFile } from "./hub.js";
import type { RemoteWindow } from "./remote-window.js";
import type { Retrier } from "./retry.js";

/** A file's first read is of some bytes that tell its format; the header they begin is read with them. */
const HEAD_BYTES = 64 * 1024;

/** A zip's local headers are read by themselves, and later what lies around them: padding, and a descriptor before. */
const SMALL_BYTES = 4096;
const BEFORE_BYTES = 64;
const BEHIND_BYTES = 192;

/** Headers of real models have less; stops a file whose header would fill the memory a second time. */
const MOST_KEPT_BYTES = 16 * 1024 * 1024;

export interface RemoteFileOptions {
  readonly entry: HubEntry;
  readonly remote: RemoteFile;
  readonly window: RemoteWindow;
  readonly retrier: Retrier;
  /** Requests for headers at once: a zip has a local header for each tensor. */
  readonly requests: Limit;
  readonly signal: AbortSignal | undefined;
  /** Turns what a request ended in into a typed error. */
  readonly describe: (error: unknown) => unknown;
}

interface Part {
  readonly start: number;
  readonly bytes: Uint8Array;
}

/** `path` is what messages call the file. Asks nothing of the network. */
export function openRemoteFile(path: string, options: RemoteFileOptions): OpenFile {
  const { entry, remote, window, retrier, requests, signal, describe } = options;
  const { byteLength } = entry;
  let bytesFetched = 0;
  const onBytes = (count: number) => {
    bytesFetched += count;
  };
  const kept: Part[] = [];
  let keptBytes = 0;

  async function fetchPart(start: number, end: number): Promise<Part> {
    const bytes = new Uint8Array(end - start);
    let at = 0;
    try {
      await requests.run(async () => {
        for await (const part of readRange(remote, start, end, retrier)) {
          bytes.set(part, at);
          at += part.length;
          onBytes(part.length);
        }
      });
    } catch (error) {
      throwIfAborted(signal);
      throw describe(error);
    }
    const part = { start, bytes };
    if (keptBytes + bytes.length <= MOST_KEPT_BYTES) {
      kept.push(part);
      keptBytes += bytes.length;
    }
    return part;
  }

  /** Some bytes from `start` on: kept ones, or new ones up to `end` or to where kept ones begin. */
  async function partAt(start: number, end: number): Promise<Part> {
    const found = kept.find((part) => part.start <= start && start < part.start + part.bytes.length);
    if (found !== undefined) return found;
    const atLeast = start === 0 ? Math.max(end, Math.min(HEAD_BYTES, byteLength)) : end;
    const next = kept.reduce(
      (least, part) => (part.start > start ? Math.min(least, part.start) : least),
      atLeast,
    );
    if (start === 0 || next - start > SMALL_BYTES) return fetchPart(start, next);
    return fetchPart(Math.max(0, start - BEFORE_BYTES), Math.min(byteLength, next + BEHIND_BYTES));
  }

  return {
    path,
    fd: window.add({ remote, byteLength, onBytes, describe }),
    byteLength,
    version: entry.etag,
    async read(offsetBytes, length) {
      if (offsetBytes + length > byteLength) {
        throw new ApplyDeltaError("truncated-file", "The file ends before the data it announces.", {
          file: path,
          offsetBytes,
          expected: `${length} more bytes`,
          got: `${Math.max(0, byteLength - offsetBytes)} bytes`,
          hint: "The file on the Hub is incomplete: choose another revision, or tell the repository's owner.",
        });
      }
      const into = new Uint8Array(length);
      for (let done = 0; done < length; ) {
        const at = offsetBytes + done;
        const { start, bytes } = await partAt(at, offsetBytes + length);
        const piece = bytes.subarray(at - start, at - start + length - done);
        into.set(piece, done);
        done += piece.length;
      }
      return into;
    },
    assertUnchanged: () => {},
    bytesFetched: () => bytesFetched,
    close: () => {
      kept.length = 0;
    },
  };
}
