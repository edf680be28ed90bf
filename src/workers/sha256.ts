/**
 * SHA-256 of files, a thread a file: hashing takes longer than reading (1.7 GB/s on the main thread with reads ahead,
 * 2.9 GB/s with two threads on two cores, AMD EPYC, Node 20, from the page cache), and the main thread stays free for
 * Ctrl-C. A file of one chunk is hashed here, in less time than it takes to start a thread.
 */
import { createHash } from "node:crypto";
import { availableParallelism } from "node:os";
import type { FileRange } from "../files/exchange.js";
import { READ_MARGIN_BYTES, Reader } from "../files/reader.js";
import { throwIfAborted } from "../interrupt.js";
import type { OpenFile, ReadableFile } from "../tensor.js";
import { runWorkers } from "./pool.js";
import { readsOfFiles } from "./reads.js";
import { isStopped, type Run, type SegmentedJob, segmentedJob, takeSegments } from "./segments.js";

export interface Sha256Options {
  /** Files hashed at once; default one for each core, `MOST_DEFAULT_THREADS` at most. */
  readonly threads?: number;
  readonly signal?: AbortSignal | undefined;
  /** Hash what the disk has, not what the page cache still has of a file just written. Default: false. */
  readonly fromDisk?: boolean;
  /** Called now and then with the bytes read so far, of all files. */
  readonly onProgress?: (progress: { readonly bytesDone: number; readonly bytesTotal: number }) => void;
}

/** A file and its SHA-256 as 64 hexadecimal digits. */
export interface FileSha256 {
  readonly path: string;
  readonly byteLength: number;
  readonly sha256: string;
}

/** A file, to be read to the length it had when it was opened. */
interface FileToHash extends ReadableFile {
  readonly byteLength: number;
}

/** A file is one, since a hash has no parts. */
const ONE_SEGMENT = { elementCount: 1, segmentElements: 1, lead: 0 };

/** MD5 only for lists that others made. */
export type DigestAlgorithm = "sha256" | "md5";

interface HashJob extends SegmentedJob<FileToHash & Run> {
  readonly algorithm: DigestAlgorithm;
  readonly isFromDisk: boolean;
}

/** More threads than this only wait for the disk. */
const MOST_DEFAULT_THREADS = 8;

/** Large enough that reads cost little beside the hash, small enough for the cache. */
const CHUNK_BYTES = 1024 * 1024;

/** Reads under way at once, so that the disk never waits for the hash. */
const READS_AHEAD = 4;

const REGION_BYTES = CHUNK_BYTES + READ_MARGIN_BYTES;

/** The job's one counter: bytes read so far. */
const BYTES_DONE = 0;

/** Errors: `truncated-file`, `source-unreadable`, `interrupted`. The files stay open. */
export async function sha256Files(
  files: readonly OpenFile[],
  options: Sha256Options = {},
): Promise<FileSha256[]> {
  const digests = await digestFiles(files, "sha256", options);
  return files.map(({ path, byteLength }, i) => ({ path, byteLength, sha256: digests[i] ?? "" }));
}

/** The files' digests in hexadecimal digits, in their order. Errors: as `sha256Files`. */
export async function digestFiles(
  files: readonly OpenFile[],
  algorithm: DigestAlgorithm,
  { threads, signal, fromDisk = false, onProgress }: Sha256Options = {},
): Promise<string[]> {
  throwIfAborted(signal);
  // Largest first, so that no long file is left for the end.
  const bySize = [...files].sort((a, b) => b.byteLength - a.byteLength);
  const large = bySize.filter(({ byteLength }) => byteLength > CHUNK_BYTES);
  const runs = large.map(({ fd, path, byteLength }) => ({ fd, path, byteLength, ...ONE_SEGMENT }));
  const job: HashJob = { ...segmentedJob(runs, 1), algorithm, isFromDisk: fromDisk };
  const bytesTotal = files.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const onTick = () =>
    onProgress?.({ bytesDone: Number(Atomics.load(job.shared.counts, BYTES_DONE)), bytesTotal });
  const digests = new Map<OpenFile | undefined, string>();
  for (const file of bySize.slice(large.length)) {
    const bytes = await file.read(0, file.byteLength);
    digests.set(file, createHash(algorithm).update(bytes).digest("hex"));
    Atomics.add(job.shared.counts, BYTES_DONE, BigInt(bytes.length));
  }
  if (large.length === 0) onTick();
  else {
    const reads = readsOfFiles(large, chunksOf(large));
    // From the Hub one file comes after the other.
    const most = reads === null ? (threads ?? Math.min(MOST_DEFAULT_THREADS, availableParallelism())) : 1;
    const work = { module: new URL("./sha256.js", import.meta.url).href, job };
    const results = await runWorkers(work, { threads: most, signal, reads, onTick });
    for (const [number, digest] of (results as [number, string][][]).flat())
      digests.set(large[number], digest);
  }
  return files.map((file) => digests.get(file) ?? "");
}

/** One file after the other. */
function* chunksOf(files: readonly OpenFile[]): Generator<FileRange> {
  for (const { fd, byteLength } of files)
    for (let offsetBytes = 0; offsetBytes < byteLength; offsetBytes += CHUNK_BYTES)
      yield { fd, offsetBytes, byteLength: Math.min(CHUNK_BYTES, byteLength - offsetBytes) };
}

/** A worker's share: numbers of files, and their digests. Throws what reading throws. */
export async function runJob(job: HashJob): Promise<[number, string][]> {
  const digests: [number, string][] = [];
  // WebAssembly's memory begins where a page does, as the reader wants it.
  const pages = Math.ceil((READS_AHEAD * REGION_BYTES) / 65_536);
  const memory = new Uint8Array(new WebAssembly.Memory({ initial: pages, maximum: pages }).buffer);
  const reader = new Reader();
  try {
    for (const { run: file, number } of takeSegments(job)) {
      const digest = await hashFile(file, job, memory, reader);
      if (digest !== null) digests.push([number, digest]);
    }
  } finally {
    reader.close();
  }
  return digests;
}

/** Reads ahead as far as memory goes, in chunks. Null where the job is stopped. */
async function hashFile(
  file: FileToHash,
  { shared, algorithm, isFromDisk }: HashJob,
  memory: Uint8Array,
  reader: Reader,
): Promise<string | null> {
  const { byteLength } = file;
  const sum = createHash(algorithm);
  const startRead = (offsetBytes: number) => {
    const region = ((offsetBytes / CHUNK_BYTES) % READS_AHEAD) * REGION_BYTES;
    const range = { file, offsetBytes, byteLength: Math.min(CHUNK_BYTES, byteLength - offsetBytes) };
    const reading = reader
      .read(range, memory, region, isFromDisk)
      .then((at) => memory.subarray(at, at + range.byteLength));
    // A failure waits until it is asked for: two may fail before the first is.
    reading.catch(() => {});
    return reading;
  };
  const reads: Promise<Uint8Array>[] = [];
  let ahead = 0;
  try {
    for (let offset = 0; offset < byteLength; offset += CHUNK_BYTES) {
      if (isStopped(shared)) return null;
      for (; ahead < Math.min(byteLength, offset + READS_AHEAD * CHUNK_BYTES); ahead += CHUNK_BYTES)
        reads.push(startRead(ahead));
      const part = await (reads.shift() ?? startRead(offset));
      sum.update(part);
      Atomics.add(shared.counts, BYTES_DONE, BigInt(part.length));
    }
  } finally {
    // None may write into memory that nobody waits for.
    await Promise.allSettled(reads);
  }
  return sum.digest("hex");
}
