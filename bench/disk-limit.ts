/**
 * The disk's own limit for the bytes of a run: threads that read its files past the page cache from end to end, and
 * one that writes as many bytes as the run does, all at once, with no work between. A file for itself, so that it is a
 * process of its own:
 *
 *     node dist/bench/disk-limit.js TARGET BYTES-TO-WRITE FILE…
 */
import {
  closeSync,
  constants,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  statSync,
  writeSync,
} from "node:fs";
import { isMainThread, Worker, workerData } from "node:worker_threads";

/** As large as the program's, and as many readers as keep a disk busy. */
const PIECE_BYTES = 2 * 1024 * 1024;
const READERS = 3;

interface Share {
  /** Descriptor and offset of each piece, in turn. */
  readonly pieces: Float64Array<SharedArrayBuffer>;
  readonly next: Int32Array<SharedArrayBuffer>;
  readonly isWriting: boolean;
}

function shareOf(places: readonly (readonly [fd: number, offsetBytes: number])[], isWriting: boolean): Share {
  const pieces = new Float64Array(new SharedArrayBuffer(16 * places.length));
  pieces.set(places.flat());
  return { pieces, next: new Int32Array(new SharedArrayBuffer(4)), isWriting };
}

function piecesOf(fd: number, byteLength: number): [fd: number, offsetBytes: number][] {
  return Array.from({ length: Math.floor(byteLength / PIECE_BYTES) }, (_, i) => [fd, i * PIECE_BYTES]);
}

async function run(target: string, bytesToWrite: number, files: readonly string[]): Promise<void> {
  const open = (path: string, flags: number) => openSync(path, flags | (constants.O_DIRECT ?? 0), 0o644);
  const sources = files.map((path) => piecesOf(open(path, constants.O_RDONLY), statSync(path).size));
  // Side by side, as a merge reads them.
  const longest = Math.max(0, ...sources.map(({ length }) => length));
  const reads = Array.from({ length: longest }, (_, i) =>
    sources.flatMap((pieces) => pieces.slice(i, i + 1)),
  );
  const fd = open(target, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL);
  ftruncateSync(fd, bytesToWrite);
  const start = (share: Share) =>
    new Promise((resolve, reject) => {
      new Worker(new URL(import.meta.url), { workerData: share }).on("exit", resolve).on("error", reject);
    });
  const reading = shareOf(reads.flat(), false);
  const readers = Array.from({ length: READERS }, () => start(reading));
  await Promise.all([...readers, start(shareOf(piecesOf(fd, bytesToWrite), true))]);
  fsyncSync(fd);
  closeSync(fd);
}

function work({ pieces, next, isWriting }: Share): void {
  const pages = PIECE_BYTES / 65_536;
  const memory = new Uint8Array(new WebAssembly.Memory({ initial: pages, maximum: pages }).buffer).fill(7);
  for (;;) {
    const at = 2 * Atomics.add(next, 0, 1);
    if (at >= pieces.length) return;
    const [fd, offsetBytes] = [pieces[at] as number, pieces[at + 1] as number];
    if (isWriting) writeSync(fd, memory, 0, PIECE_BYTES, offsetBytes);
    else readSync(fd, memory, 0, PIECE_BYTES, offsetBytes);
  }
}

if (isMainThread) {
  const [target = "", bytesToWrite, ...files] = process.argv.slice(2);
  await run(target, Number(bytesToWrite), files);
} else {
  work(workerData as Share);
}
