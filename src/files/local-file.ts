import {
  type BigIntStats,
  closeSync,
  fstatSync,
  openSync,
  read,
  readSync,
  type Stats,
  statSync,
} from "node:fs";
import { basename } from "node:path";
import { promisify } from "node:util";
import { ApplyDeltaError, isApplyDeltaError } from "../errors.js";
import { noPause, type Pause } from "../interrupt.js";
import { backgroundTransfer, onSide } from "../system-errors.js";
import type { Descriptor, LocalFile, ReadableFile } from "../tensor.js";
import { readThroughExchange, receiveThroughExchange } from "./exchange.js";

/** Errors: `source-not-found`, `source-unreadable`. */
export const onSource = onSide("source");

/**
 * The Hub's cache keeps a commit's files, which never change, in a folder of its name, as links or, where there are none,
 * themselves. A file on the Hub has the commit as its version, too, so that an interrupted run goes on once it is
 * downloaded.
 */
const COMMIT = /[\\/]models--[^\\/]+[\\/]snapshots[\\/]([0-9a-f]{40})[\\/]/;

/** Opens a regular file for reading, with a pause before each read. Links are followed. */
export function openLocalFile(path: string, pause: Pause = noPause): LocalFile {
  statRegularFile(path);
  const fd = onSource(path, () => openSync(path, "r"));
  let state: BigIntStats;
  try {
    state = onSource(path, () => fstatSync(fd, { bigint: true }));
  } catch (error) {
    closeQuietly(fd);
    throw error;
  }
  const { size, mtimeNs: modifiedNs } = state;
  return {
    path,
    fd,
    byteLength: Number(size),
    version: COMMIT.exec(path)?.[1] ?? String(modifiedNs),
    async read(offsetBytes, length) {
      await pause();
      const bytes = new Uint8Array(length);
      readFully(fd, bytes, offsetBytes, path);
      return bytes;
    },
    assertUnchanged: () => assertUnchanged(path, fd, Number(size), modifiedNs),
    bytesFetched: () => 0,
    close: () => closeQuietly(fd),
  };
}

/** Nothing that was read is lost where this fails. */
function closeQuietly(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // The descriptor is gone all the same.
  }
}

/** Throws `source-changed` where the file was written to since it was opened. */
function assertUnchanged(path: string, fd: number, byteLength: number, modifiedNs: bigint): void {
  const now = onSource(path, () => fstatSync(fd, { bigint: true }));
  if (Number(now.size) === byteLength && now.mtimeNs === modifiedNs) return;
  throw new ApplyDeltaError("source-changed", "The file was changed while it was read.", {
    file: path,
    expected: `${byteLength} bytes, written at ${timeOf(modifiedNs)}`,
    got: `${now.size} bytes, written at ${timeOf(now.mtimeNs)}`,
    hint: "Let whatever writes it come to an end, then run the same command again.",
  });
}

function timeOf(nanoseconds: bigint): string {
  return new Date(Number(nanoseconds / 1_000_000n)).toISOString();
}

/** Looked at before it is opened: opening a FIFO would wait for a writer. Errors: `source-unreadable`. */
export function statRegularFile(path: string): Stats {
  const stat = onSource(path, () => statSync(path));
  if (stat.isFile()) return stat;
  throw notRegular(path);
}

export function notRegular(path: string): ApplyDeltaError {
  return new ApplyDeltaError("source-unreadable", `${basename(path)} is not a regular file.`, {
    file: path,
    hint: "Put a regular file in its place.",
  });
}

/**
 * Fills `into` from `offsetBytes` on, from this machine's disk or from the Hub. Throws `truncated-file` where the file
 * ends early.
 */
export function readFully(fd: Descriptor, into: Uint8Array, offsetBytes: number, path: string): void {
  if (typeof fd !== "number") {
    const local = readThroughExchange(fd, into, offsetBytes);
    if (local !== null) readFully(local, into, offsetBytes, path);
    return;
  }
  let done = 0;
  while (done < into.length) {
    const at = offsetBytes + done;
    const got = onSource(path, () => readSync(fd, into, done, into.length - done, at), at);
    if (got === 0) {
      throw new ApplyDeltaError("truncated-file", "The file ends before the data it announces.", {
        file: path,
        offsetBytes: at,
        expected: `${into.length - done} more bytes`,
        got: "end of file",
        hint: "Download or copy the file again; it may also have been changed while it was read.",
      });
    }
    done += got;
  }
}

const readAsync = promisify(read);

/** As `readFully`, while the thread goes on. */
export async function readInBackground(
  { path, fd }: ReadableFile,
  into: Uint8Array,
  offsetBytes: number,
): Promise<void> {
  if (typeof fd !== "number") {
    const local = await receiveThroughExchange(fd, into, offsetBytes);
    if (local !== null) await readInBackground({ path, fd: local }, into, offsetBytes);
    return;
  }
  const done = await backgroundTransfer("source", path, offsetBytes, async () => {
    return (await readAsync(fd, into, 0, into.length, offsetBytes)).bytesRead;
  });
  readFully(fd, into.subarray(done), offsetBytes + done, path);
}

/** Whether there is something at a path; an error where that can't be told. */
export function sourceExists(path: string): boolean {
  try {
    return onSource(path, () => statSync(path, { throwIfNoEntry: false })) !== undefined;
  } catch (error) {
    if (isApplyDeltaError(error, "source-not-found")) return false;
    throw error;
  }
}
