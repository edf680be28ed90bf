import { resolve } from "node:path";
import { ApplyDeltaError } from "../errors.js";
import { freeSpaceAt } from "../target/room.js";
import { formatBytes } from "../units.js";

export interface SpaceNeed {
  /** A file or a folder to be made. */
  readonly path: string;
  readonly bytes: number;
  /** `the cache`. */
  readonly what: string;
}

/** Adds up what a run will write on each disk: cache and target may share one. Errors: `no-space`. */
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
    const sizes = `${formatBytes(neededBytes)} needed, ${formatBytes(freeBytes)} free`;
    throw new ApplyDeltaError("no-space", `Not enough disk space in ${folder}: ${sizes}.`, {
      file: folder,
      expected: `${neededBytes} bytes free (${each})`,
      got: `${freeBytes} bytes free`,
      hint: `Free ${neededBytes - freeBytes} bytes, or choose another disk with --cache-dir, HF_HOME or --target.`,
    });
  }
}
