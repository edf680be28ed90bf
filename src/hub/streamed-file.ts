import { ApplyDeltaError } from "../errors.js";
import { throwIfAborted } from "../interrupt.js";
import type { Limit } from "../limit.js";
import type { OpenFile } from "../tensor.js";
import type { HubFile } from "./hub-file.js";
import type { HubEntry } from "./listing.js";
import { readRange } from "./read-range.js";
import type { RemoteWindow } from "./remote-window.js";
import type { Retrier } from "./retry.js";

/** The first read is of some bytes that tell the file's format; the header they begin is read with them. */
const HEAD_BYTES = 64 * 1024;

/** A zip's local headers are read by themselves, and later what lies around them: padding, and a descriptor before. */
const SMALL_BYTES = 4096;
const BEFORE_BYTES = 64;
const BEHIND_BYTES = 192;

/** Headers of real models have less; stops a file whose header would fill the memory a second time. */
const MOST_KEPT_BYTES = 16 * 1024 * 1024;

export interface StreamedFileOptions {
  readonly entry: HubEntry;
  readonly remote: HubFile;
  readonly window: RemoteWindow;
  readonly retrier: Retrier;
  /** Bounds requests for headers: a zip has a local header for each tensor. */
  readonly requests: Limit;
  readonly signal: AbortSignal | undefined;
  /** Turns a failed request's error into a typed one. */
  readonly explain: (error: unknown) => unknown;
}

/**
 * A weights file on the Hub as an open file: headers are read here, the tensors' bytes go to the threads through the
 * window. `path` is its name in messages. Asks nothing of the network yet.
 */
export function openStreamedFile(path: string, options: StreamedFileOptions): OpenFile {
  const { entry, remote, window, explain } = options;
  const { byteLength } = entry;
  let bytesFetched = 0;
  const onBytes = (count: number) => {
    bytesFetched += count;
  };
  const header = new HeaderBytes(options, onBytes);
  return {
    path,
    fd: window.add({ remote, byteLength, onBytes, explain }),
    byteLength,
    version: entry.etag,
    async read(offsetBytes, length) {
      if (offsetBytes + length <= byteLength) return header.read(offsetBytes, length);
      throw new ApplyDeltaError("truncated-file", "The file ends before the data it announces.", {
        file: path,
        offsetBytes,
        expected: `${length} more bytes`,
        got: `${Math.max(0, byteLength - offsetBytes)} bytes`,
        hint: "The file on the Hub is incomplete: choose another revision, or tell the repository's owner.",
      });
    },
    // A file of a commit never changes: HubFile holds the Hub's answers to one size and one ETag.
    assertUnchanged: () => {},
    bytesFetched: () => bytesFetched,
    close: () => header.forget(),
  };
}

interface Part {
  readonly start: number;
  readonly bytes: Uint8Array;
}

/** The bytes of a file's header. Each is fetched once, however often it is read. */
class HeaderBytes {
  readonly #options: StreamedFileOptions;
  readonly #onBytes: (count: number) => void;
  readonly #kept: Part[] = [];
  #keptBytes = 0;

  constructor(options: StreamedFileOptions, onBytes: (count: number) => void) {
    this.#options = options;
    this.#onBytes = onBytes;
  }

  async read(offsetBytes: number, length: number): Promise<Uint8Array> {
    const into = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const at = offsetBytes + done;
      const { start, bytes } = await this.#partAt(at, offsetBytes + length);
      const piece = bytes.subarray(at - start, at - start + length - done);
      into.set(piece, done);
      done += piece.length;
    }
    return into;
  }

  forget(): void {
    this.#kept.length = 0;
  }

  /** Some bytes from `start` on: kept ones, or new ones up to `end` or to where kept ones begin. */
  async #partAt(start: number, end: number): Promise<Part> {
    const { byteLength } = this.#options.entry;
    const found = this.#kept.find((part) => part.start <= start && start < part.start + part.bytes.length);
    if (found !== undefined) return found;
    const atLeast = start === 0 ? Math.max(end, Math.min(HEAD_BYTES, byteLength)) : end;
    const next = this.#kept.reduce(
      (least, part) => (part.start > start ? Math.min(least, part.start) : least),
      atLeast,
    );
    if (start === 0 || next - start > SMALL_BYTES) return this.#load(start, next);
    return this.#load(Math.max(0, start - BEFORE_BYTES), Math.min(byteLength, next + BEHIND_BYTES));
  }

  async #load(start: number, end: number): Promise<Part> {
    const { remote, retrier, requests, signal, explain } = this.#options;
    const bytes = new Uint8Array(end - start);
    let at = 0;
    try {
      await requests.run(async () => {
        for await (const part of readRange(remote, start, end, retrier)) {
          bytes.set(part, at);
          at += part.length;
          this.#onBytes(part.length);
        }
      });
    } catch (error) {
      throwIfAborted(signal);
      throw explain(error);
    }
    const part = { start, bytes };
    if (this.#keptBytes + bytes.length <= MOST_KEPT_BYTES) {
      this.#kept.push(part);
      this.#keptBytes += bytes.length;
    }
    return part;
  }
}
