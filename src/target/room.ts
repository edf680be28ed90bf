/** Whether the target's disk has room for it. */
import { accessSync, constants, statfsSync, statSync } from "node:fs";
import { dirname } from "node:path";
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
  const { files, ffree, type } = onTarget(parent, () => statfsSync(parent));
  const { freeBytes } = freeSpaceAt(parent);
  if (freeBytes < needed.bytes) {
    const room = `${formatBytes(needed.bytes)} needed, ${formatBytes(freeBytes)} free`;
    throw new ApplyDeltaError("no-space", `Not enough disk space in ${parent}: ${room}.`, {
      file: parent,
      expected: `${needed.bytes} bytes free`,
      got: `${freeBytes} bytes free`,
      hint: `Free ${needed.bytes - freeBytes} bytes, or choose a folder on another disk.`,
    });
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

export interface FreeSpace {
  /** The part of the path that exists. */
  readonly folder: string;
  readonly freeBytes: number;
  /** The same for all folders of one file system. */
  readonly device: number;
}

/** The room there is where `path` is or would be made. */
export function freeSpaceAt(path: string): FreeSpace {
  const folder = nearestExisting(path);
  const { bavail, bsize } = onTarget(folder, () => statfsSync(folder));
  return { folder, freeBytes: bavail * bsize, device: onTarget(folder, () => statSync(folder).dev) };
}

/** Beside the shards and the files that are known: card, index, the folder, what the staging writes. */
const FURTHER_FILES = 8;

/** What a target of these shards needs, less what an interrupted run left of it. */
export function roomFor(
  target: string,
  {
    bytesToWrite,
    shards,
  }: {
    readonly bytesToWrite: number;
    readonly shards: readonly { readonly byteLength: number }[];
  },
  fileCount: number,
): Room {
  return {
    bytes: bytesToWrite - stagedBytes(target),
    files: shards.length + fileCount + FURTHER_FILES,
    largestFileBytes: Math.max(...shards.map(({ byteLength }) => byteLength)),
  };
}
