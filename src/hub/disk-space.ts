/**
 * In: what a run will write where. Out: nothing, or the error that a disk hasn't room for it.
 * Guards: cache and target on one disk need the room of both.
 */
import { resolve } from "node:path";
import { ApplyDeltaError } from "../errors.js";
import { freeSpaceAt } from "../target/room.js";

export interface SpaceNeed {
  /** A file or a folder to be made. */
  readonly path: string;
  readonly bytes: number;
  /** `the cache`. */
  readonly what: string;
}

/** Errors: `no-space`. */
export function checkSpace(needs: readonly SpaceNeed[]): void {
  const disks = new Map<number, { folder: string; freeBytes: number; needs: SpaceNeed[] }>();
  for (const need of needs) {
    const { device, folder, freeBytes } = freeSpaceAt(resolve(need.path));
    const disk = disks.get(device) ?? { folder, freeBytes, needs: [] };
    disk.needs.push(need);
    disks.set(device, disk);
  }
  for (const { folder, freeBytes, needs } of disks.values()) {
    const neededBytes = needs.reduce((sum, { bytes }) => sum + bytes, 0);
    if (neededBytes <= freeBytes) continue;
    const each = needs.map(({ bytes, what }) => `${bytes} for ${what}`).join(", ");
    throw new ApplyDeltaError("no-space", "The disk hasn't room for what would be downloaded and made.", {
      file: folder,
      expected: `${neededBytes} bytes free (${each})`,
      got: `${freeBytes} bytes free`,
      hint: `Free ${neededBytes - freeBytes} bytes, or choose another disk with --cache-dir, HF_HOME or --target.`,
    });
  }
}
