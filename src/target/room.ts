/** Whether the target's disk has room for it. */
import { accessSync, constants, statfsSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { ApplyDeltaError } from "../errors.js";
import { onTarget } from "../files/write-errors.js";
import { formatBytes } from "../units.js";
import { stagedBytes } from "./staging.js";
import { nearestExisting } from "./target.js";

/** What a target needs of its file system. */
export interface Room {
  readonly bytes: number;
  readonly files: number;
  readonly largestFileBytes: number;
}

/** FAT: `f_type` of statfs(2), and its 32 bits for a file's length. */
const FAT_TYPE = 0x4d44;
const FAT_LARGEST_FILE_BYTES = 2 ** 32 - 1;

/**
 * Throws `no-space` where the target's file system has less room than is needed, `target-unwritable` where it can't be
 * written at all. Returns the free bytes.
 */
export function checkRoom(target: string, needed: Room): number {
  const parent = nearestExisting(dirname(target));
  onTarget(parent, () => accessSync(parent, constants.W_OK));
  const { files, ffree, type, bavail, bsize } = onTarget(parent, () => statfsSync(parent));
  const freeBytes = bavail * bsize;
  if (freeBytes < needed.bytes) {
    throw notEnoughSpace(parent, needed.bytes, freeBytes, "choose a folder on another disk");
  }
  // File systems that make files as they need them say 0 of 0.
  if (files > 0 && ffree < needed.files) {
    throw new ApplyDeltaError("no-space", "The disk can't hold more files.", {
      file: parent,
      expected: `${needed.files} more files`,
      got: `${ffree} (see \`df -i\`)`,
      hint: "Remove some files there, or choose a folder on another disk.",
    });
  }
  if (type === FAT_TYPE && needed.largestFileBytes > FAT_LARGEST_FILE_BYTES) {
    throw new ApplyDeltaError("target-unwritable", "The file system (FAT) can't hold files this large.", {
      file: parent,
      expected: `shards of at most ${FAT_LARGEST_FILE_BYTES} bytes`,
      got: `${needed.largestFileBytes} bytes`,
      hint: "Use --max-shard-size 4GB, or choose a folder on another disk.",
    });
  }
  return freeBytes;
}

/** The room there is where `path` is or would be made: in a folder that exists, on a device by its number. */
export function freeSpaceAt(path: string) {
  const folder = nearestExisting(path);
  const { bavail, bsize } = onTarget(folder, () => statfsSync(folder));
  return { folder, freeBytes: bavail * bsize, device: onTarget(folder, () => statSync(folder).dev) };
}

/** Something that a run will write. */
export interface SpaceNeed {
  /** A file or a folder to be made. */
  readonly path: string;
  readonly bytes: number;
  /** `the cache`. */
  readonly what: string;
}

/** Adds up what a run will write on each disk: the Hub's cache and the target may share one. Errors: `no-space`. */
export function checkSpace(needs: readonly SpaceNeed[]): void {
  const places = needs.map((need) => ({ ...need, ...freeSpaceAt(resolve(need.path)) }));
  for (const { folder, freeBytes, device } of places) {
    const onDisk = places.filter((place) => place.device === device);
    const neededBytes = onDisk.reduce((sum, { bytes }) => sum + bytes, 0);
    if (neededBytes <= freeBytes) continue;
    const each = onDisk.map(({ bytes, what }) => `${bytes} bytes for ${what}`).join(", ");
    const wayOut = "choose another disk with --cache-dir, HF_HOME or --target";
    throw notEnoughSpace(folder, neededBytes, freeBytes, wayOut, ` (${each})`);
  }
}

function notEnoughSpace(
  folder: string,
  neededBytes: number,
  freeBytes: number,
  wayOut: string,
  parts = "",
): ApplyDeltaError {
  // Of /proc and /sys, and of some network mounts. To free some room there would help nobody.
  if (onTarget(folder, () => statfsSync(folder)).blocks === 0) {
    const hint = "Choose a folder on a disk.";
    return new ApplyDeltaError("target-unwritable", `${folder} reports a size of 0.`, { hint });
  }
  const sizes = `${formatBytes(neededBytes)} needed, ${formatBytes(freeBytes)} free`;
  return new ApplyDeltaError("no-space", `Not enough disk space in ${folder}: ${sizes}.`, {
    file: folder,
    expected: `${neededBytes} bytes needed${parts}`,
    got: `${freeBytes} bytes free`,
    hint: `Free ${neededBytes - freeBytes} bytes, or ${wayOut}.`,
  });
}

interface Shards {
  readonly bytesToWrite: number;
  readonly shards: readonly { readonly byteLength: number }[];
}

/** Beside the shards and the files that are known: card, index, the folder, what the staging writes. */
const FURTHER_FILES = 8;

/** What a target of these shards needs, less what an interrupted run left of it. */
export function roomFor(target: string, { bytesToWrite, shards }: Shards, fileCount: number): Room {
  return {
    bytes: bytesToWrite - stagedBytes(target),
    files: shards.length + fileCount + FURTHER_FILES,
    largestFileBytes: Math.max(...shards.map(({ byteLength }) => byteLength)),
  };
}
