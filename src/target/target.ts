/**
 * In: the target path the user gave, and everything that is read. Out: the real path to write to.
 * Guards: nothing that exists is written over unasked; base and delta can never be the target.
 */
import {
  accessSync,
  constants,
  lstatSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statfsSync,
  statSync,
} from "node:fs";
import { dirname, isAbsolute, join, relative, resolve, sep } from "node:path";
import { ApplyDeltaError, errnoOf, uninterrupted } from "../errors.js";
import { onSource } from "../files/local-file.js";
import { onTarget } from "../files/write-errors.js";

export interface TargetOptions {
  /** Whether a folder that exists and isn't empty may be replaced. */
  readonly overwrite: boolean;
  /** Every path that is read: the model folders or files as given, and each weights file. */
  readonly sources: readonly string[];
}

/** Marks a folder as ours, so that what is in it may be removed, and records what is finished. */
export const JOURNAL = ".vicuna-apply-delta";

/** Of the run that works in the folder. */
export const LOCK = ".vicuna-apply-delta.lock";

/** The folder the work goes on in until it is whole. */
export function stagingPathOf(target: string): string {
  return `${target}.incomplete`;
}

/** Errors: `target-overlaps-source`, `target-exists`, `target-unwritable`. Nothing is created. */
export function checkTarget(target: string, options: TargetOptions): string {
  const real = realPathOf(resolve(target));
  for (const source of options.sources) {
    const realSource = onSource(source, () => realpathSync(source));
    const staging = stagingPathOf(real);
    if (isInside(real, realSource) || isInside(realSource, real) || isInside(realSource, staging)) {
      throw new ApplyDeltaError(
        "target-overlaps-source",
        "The folder to make overlaps a model that is read.",
        {
          file: real,
          got: `${target} and ${realSource}`,
          hint: "Choose a folder that is neither inside nor around a model that is read.",
        },
      );
    }
  }
  const stat = onTarget(real, () => lstatSync(real, { throwIfNoEntry: false }));
  if (stat === undefined) return real;
  if (!stat.isDirectory()) {
    throw new ApplyDeltaError("target-exists", "The folder to make exists and is not a folder.", {
      file: real,
      hint: "Choose another folder.",
    });
  }
  const names = onTarget(real, () => readdirSync(real));
  // A run that was killed while it published left its journal there: publish.ts knows what becomes of it.
  if (!options.overwrite && names.length > 0 && !names.includes(JOURNAL)) throw targetExists(real);
  assertReplaceable(real);
  return real;
}

/** The folder that is made takes the place of the one that is there, by a rename. */
function assertReplaceable(real: string): void {
  if (isMountPoint(real)) {
    throw new ApplyDeltaError("target-unwritable", "A disk or a volume is mounted at the folder to make.", {
      file: real,
      expected: "a folder that a new one can take the place of",
      hint: `Choose a folder in it: --target ${join(real, "model")}`,
    });
  }
  if (isInside(process.cwd(), real)) {
    throw new ApplyDeltaError("target-unwritable", "The folder to make is the one you are in.", {
      file: real,
      expected: "a folder that a new one can take the place of",
      hint: "Run the command from outside of it (`cd ..`), or choose a folder in it.",
    });
  }
}

function isMountPoint(path: string): boolean {
  const deviceOf = (at: string) => onTarget(at, () => statSync(at).dev);
  return deviceOf(path) !== deviceOf(dirname(path)) || mountPoints().includes(path);
}

/**
 * From proc(5), /proc/PID/mountinfo: also folders of the same file system, as `mount --bind` and containers put them in
 * another's place. None outside Linux.
 */
function mountPoints(): string[] {
  try {
    const lines = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
    const withoutEscapes = (text: string) =>
      text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
    return lines.map((line) => withoutEscapes(line.split(" ")[4] ?? ""));
  } catch {
    return [];
  }
}

export function targetExists(target: string): ApplyDeltaError {
  return new ApplyDeltaError("target-exists", "The folder to make exists and isn't empty.", {
    file: target,
    hint: "Choose another folder, or add --overwrite to replace this one once the new one is whole.",
  });
}

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
    throw new ApplyDeltaError("no-space", "The disk hasn't room for what is to be made.", {
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
    throw new ApplyDeltaError("target-unwritable", "The file system (FAT) can't hold files of this size.", {
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

/** Follows links as far as the path exists; the rest is taken as it stands. */
function realPathOf(path: string): string {
  const existing = nearestExisting(path);
  return join(
    onTarget(path, () => realpathSync(existing)),
    relative(existing, path),
  );
}

function nearestExisting(path: string): string {
  try {
    uninterrupted(() => realpathSync(path));
    return path;
  } catch (error) {
    const errno = errnoOf(error);
    const isLink = () => onTarget(path, () => lstatSync(path, { throwIfNoEntry: false }))?.isSymbolicLink();
    if (errno === "ENOENT" && isLink()) {
      throw new ApplyDeltaError(
        "target-exists",
        "The folder to make is a symbolic link that leads nowhere.",
        {
          file: path,
          hint: "Remove the link or choose another folder.",
        },
      );
    }
    if (errno === "ENOENT" && dirname(path) !== path) return nearestExisting(dirname(path));
    return onTarget(path, () => {
      throw error;
    });
  }
}

/** Whether `path` is `folder` or lies in it. */
function isInside(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way !== ".." && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}
