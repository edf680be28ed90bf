import { availableParallelism } from "node:os";
import { isLocalFile, type OpenFile } from "../tensor.js";

/** More threads than this only wait for the disk. */
const MOST_DEFAULT_THREADS = 4;

/** Where weights come over the network: that is the slower part, and more threads take more memory for nothing. */
const MOST_STREAMING_THREADS = 2;

/** Worker threads where the user names no number. `models`: what is read, where it may have to be fetched. */
export function defaultThreads(
  models: readonly { readonly files: readonly OpenFile[] }[],
  cores = availableParallelism(),
): number {
  const isStreamed = models.some(({ files }) => !files.every(isLocalFile));
  return Math.min(isStreamed ? MOST_STREAMING_THREADS : MOST_DEFAULT_THREADS, cores);
}
