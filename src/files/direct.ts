import { constants, openSync } from "node:fs";
import { errnoOf, uninterrupted } from "../errors.js";

/** What O_DIRECT wants memory, offset and length to be multiples of; a disk's own block is no larger. */
export const PAGE_BYTES = 4096;

/**
 * Opens a file past the page cache, to read unless another flag is given. Null where system or file system don't know
 * O_DIRECT, or too many files are open for a second descriptor.
 */
export function openDirect(path: string, flag: number = constants.O_RDONLY): number | null {
  if (constants.O_DIRECT === undefined) return null;
  try {
    return uninterrupted(() => openSync(path, flag | constants.O_DIRECT));
  } catch {
    return null;
  }
}

/** This thread's reads or writes past the page cache: once the system refuses one, no other is tried. */
export class DirectTransfers {
  /** This thread's memory isn't aligned, or the file system wants more than a page. */
  isRefused = false;

  /** How many bytes were transferred; 0 where that is refused or `fd` is null. Throws what else the system says. */
  attempt(fd: number | null, transfer: (fd: number) => number): number {
    if (fd === null || this.isRefused) return 0;
    try {
      return uninterrupted(() => transfer(fd));
    } catch (error) {
      if (errnoOf(error) !== "EINVAL") throw error;
      this.isRefused = true;
      return 0;
    }
  }
}
