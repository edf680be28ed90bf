import { join } from "node:path";
import { ApplyDeltaError } from "../errors.js";
import { openLocalFile } from "../files/local-file.js";
import type { RemoteWeights } from "../formats/open.js";
import { createLimit, type Limit } from "../limit.js";
import type { OpenFile, RemoteDescriptor } from "../tensor.js";
import { ArrivingFile } from "./arriving-file.js";
import { makeFolder } from "./cache.js";
import { HubFile } from "./hub-file.js";
import type { LocatedModel } from "./locate-model.js";
import { RemoteWindow } from "./remote-window.js";
import type { HubSession } from "./session.js";

/** The first read is of some bytes that tell the file's format; the header they begin is read with them. */
const HEAD_BYTES = 64 * 1024;

/** Files whose heads are fetched before they are asked for. */
const MOST_HEADS = 128;

/** A zip's local headers are read by themselves, and later what lies around them: padding, and a descriptor before. */
const SMALL_BYTES = 4096;
const BEFORE_BYTES = 64;
const BEHIND_BYTES = 192;

/** A zip has a local header for each tensor: its request is all latency. */
const HEADER_REQUESTS_PER_CONNECTION = 8;

/** Headers of real models have less; stops a file whose header would fill the memory a second time. */
const MOST_KEPT_BYTES = 16 * 1024 * 1024;

/** Weights on the Hub, until they are closed. */
export interface StreamedWeights extends RemoteWeights {
  /**
   * Downloads them, for all models that were asked for together; from now on a read waits until its file is whole.
   * Resolves once all are; a failure is that of the reads, too.
   */
  download(): Promise<void>;
  /** Ends the connections, for all models that were asked for together. May be called again. */
  close(): Promise<void>;
}

/**
 * How to read weights where they are: a file that the cache has from there, the others from the Hub, without writing
 * to a disk. Closing the weights of any model ends the session.
 */
export function streamWeights(
  models: readonly LocatedModel[],
  session: HubSession,
  signal: AbortSignal | undefined,
  downloadAll: (onWhole: (file: HubFile) => void) => Promise<void>,
): Map<LocatedModel, StreamedWeights> {
  if (models.length === 0) return new Map();
  // Config and tokenizer are looked for there, also where the repository has none.
  for (const { path } of models) makeFolder(path);
  const { transfer } = session.settings;
  const window = new RemoteWindow(session);
  const headerRequests = createLimit(HEADER_REQUESTS_PER_CONNECTION * transfer.connections);
  const cancel = () => window.cancel();
  signal?.addEventListener("abort", cancel, { once: true });
  const arrivals = new Map<string, ArrivingFile>();
  let arrival: Promise<void> | undefined;
  const download = () => {
    if (arrival !== undefined) return arrival;
    for (const [{ blobPath }, { fd }] of remote) {
      const arriving = arrivals.get(blobPath) ?? new ArrivingFile();
      arrivals.set(blobPath, arriving);
      window.follow(fd, arriving);
    }
    arrival = downloadAll(({ blobPath, snapshotPath }) => arrivals.get(blobPath)?.arrive(snapshotPath));
    arrival.catch((error: unknown) => window.fail(error));
    return arrival;
  };
  const close = async () => {
    signal?.removeEventListener("abort", cancel);
    window.close();
    await session.close();
    await arrival?.catch(() => {});
    for (const arriving of arrivals.values()) arriving.close();
  };
  const remote = new Map(
    models.flatMap(({ absentWeights }) =>
      absentWeights.map((file) => {
        // Over plain HTTP, which gives exactly the range that is asked for; Xet's chunks are larger.
        const plain = new HubFile(session, file.snapshot, { ...file.entry, isXet: false });
        return [file, openStreamedFile(plain, window, headerRequests)];
      }),
    ),
  );
  // Headers arrive together, though they are read one after the other. What fails is thrown when it is read.
  for (const file of [...remote.values()].slice(0, MOST_HEADS))
    file.read(0, Math.min(1, file.byteLength)).catch(() => {});
  const open = ({ path, absentWeights }: LocatedModel, name: string) => {
    const file = absentWeights.find(({ entry }) => entry.path === name);
    return (file && remote.get(file)) ?? openLocalFile(join(path, name));
  };
  return new Map(
    models.map((model) => {
      const { indexPath, weights, absentWeights } = model;
      const names = indexPath === null ? weights.map((entry) => entry.path) : [];
      const absent = absentWeights.map(({ entry }) => entry.path);
      return [model, { index: indexPath, names, absent, open: (name) => open(model, name), download, close }];
    }),
  );
}

/** Headers are read here, the tensors' bytes go to the threads through the window. */
function openStreamedFile(
  remote: HubFile,
  window: RemoteWindow,
  requests: Limit,
): OpenFile & { readonly fd: RemoteDescriptor } {
  const { path, entry } = remote;
  const { byteLength } = entry;
  const header = headerReader(remote, requests);
  return {
    path,
    fd: window.add(remote),
    byteLength,
    version: remote.snapshot.commit,
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
    bytesFetched: () => remote.bytesFetched,
    close: () => header.forget(),
  };
}

interface Part {
  readonly start: number;
  readonly bytes: Uint8Array;
}

/**
 * Reads the bytes of a file's header, each once, however often they are asked for. `requests` bounds how many are under
 * way: a zip has a local header for each tensor.
 */
function headerReader(remote: HubFile, requests: Limit) {
  const kept: Part[] = [];
  let keptBytes = 0;
  const load = async (start: number, end: number): Promise<Part> => {
    const bytes = new Uint8Array(end - start);
    let at = 0;
    await requests.run(async () => {
      for await (const part of remote.read(start, end)) {
        bytes.set(part, at);
        at += part.length;
      }
    });
    if (keptBytes + bytes.length <= MOST_KEPT_BYTES) {
      kept.push({ start, bytes });
      keptBytes += bytes.length;
    }
    return { start, bytes };
  };
  const headBytes = Math.min(HEAD_BYTES, remote.entry.byteLength);
  let head: Promise<Part> | null = null;
  /** Some bytes from `start` on: kept ones, or new ones up to `end` or to where kept ones begin. */
  const partAt = async (start: number, end: number): Promise<Part> => {
    const { byteLength } = remote.entry;
    const found = kept.find((part) => part.start <= start && start < part.start + part.bytes.length);
    if (found !== undefined) return found;
    if (start < headBytes) {
      head ??= load(0, headBytes).catch((error) => {
        head = null;
        throw error;
      });
      return head;
    }
    let next = end;
    for (const part of kept) if (part.start > start) next = Math.min(next, part.start);
    if (next - start > SMALL_BYTES) return load(start, next);
    return load(Math.max(0, start - BEFORE_BYTES), Math.min(byteLength, next + BEHIND_BYTES));
  };
  return {
    async read(offsetBytes: number, length: number): Promise<Uint8Array> {
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
    forget() {
      kept.splice(0);
      head = null;
    },
  };
}
