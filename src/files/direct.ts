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

/**
 * A read or write past the page cache. Gives how many bytes were transferred; null where the system refuses it, since
 * memory isn't aligned or the file system wants more than a page. Throws what else the system says.
 */
export async function transferDirectly(transfer: () => Promise<number>): Promise<number | null> {
  for (;;) {
    try {
      return await transfer();
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === "EINVAL") return null;
      if (errno !== "EINTR") throw error;
    }
  }
}
