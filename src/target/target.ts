/** Where a target may be: nothing that exists is written over unasked, and no model that is read is ever the target. */
import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from "node:fs";
import { dirname, isAbsolute, join, parse, relative, resolve, sep } from "node:path";
import { ApplyDeltaError, errnoOf, isApplyDeltaError } from "../errors.js";
import { onSource } from "../files/local-file.js";
import { entryAt, onTarget } from "../files/write-errors.js";
import { stagingPathOf } from "./describe.js";

/** Marks a folder as ours, so that what is in it may be removed, and records what is finished. */
export const JOURNAL = ".vicuna-apply-delta";

/** Of the run that works in the folder. */
export const LOCK = ".vicuna-apply-delta.lock";

/** How the journals of parts begin. */
export const PART_JOURNAL = `${JOURNAL}.part-`;

/** The journal of part `number` of a target that is made in parts. */
export function partJournal(number: number): string {
  return `${PART_JOURNAL}${number}`;
}

/** The lock of the run that makes that part. */
export function partLock(number: number): string {
  return `${LOCK}.part-${number}`;
}

const WEIGHTS_FILE = /^\.(?:safetensors|bin|pth?|ckpt)$/i;

export interface TargetCheck {
  readonly overwrite: boolean;
  /** The models that are read, as far as they are on this machine. */
  readonly sources: readonly string[];
  /** Whether a file is made, and no folder; default false. */
  readonly isFile?: boolean;
}

/**
 * The real path of the target; makes nothing. Errors: `bad-usage`, `target-overlaps-source`, `target-exists`,
 * `target-unwritable`.
 */
export function checkTarget(target: string, { overwrite, sources, isFile = false }: TargetCheck): string {
  const real = realPathOf(resolve(target));
  assertApart(real, sources, target);
  const { name, ext } = parse(target);
  if (WEIGHTS_FILE.test(ext)) {
    const hint = `Name a folder, such as ${name}: the weights are a file in it.`;
    throw new ApplyDeltaError("bad-usage", `A folder is made, and ${name}${ext} is the name of a file.`, {
      hint,
    });
  }
  if (isFile) {
    const stat = entryAt(real);
    if (stat === undefined) return real;
    if (!stat.isFile())
      throw exists(real, "A folder is in the place of the file to make.", "Choose another name.");
    const isTakenUp = onTarget(real, () => existsSync(join(stagingPathOf(real), JOURNAL)));
    if (!overwrite && !isTakenUp) throw fileExists(real);
    return real;
  }
  const names = checkFolder(real);
  // A run that was killed while it published left its journal there: publish.ts finishes its work.
  if (names !== null && !names.includes(JOURNAL)) checkFree(real, overwrite);
  if (names !== null) assertReplaceable(real);
  return real;
}

/** Throws `target-exists` where there is something in the target's place that may not be replaced. */
export function checkFree(target: string, overwrite: boolean): void {
  const names = checkFolder(target) ?? [];
  if (!overwrite && names.length > 0) throw targetExists(target);
}

/** The names in the target; null where there is none. Errors: `target-exists` for a file. */
function checkFolder(target: string): string[] | null {
  const stat = entryAt(target);
  if (stat === undefined) return null;
  if (stat.isDirectory()) return onTarget(target, () => readdirSync(target));
  const hint = "Choose another folder, or move the file away.";
  throw exists(target, "A file is in the place of the folder to make.", hint);
}

/** Throws `target-overlaps-source` where a source is at, in or around the target. `given`: the target as the user has it. */
export function assertApart(target: string, sources: readonly string[], given = target): void {
  for (const source of sources) {
    const real = onSource(source, () => realpathSync(source));
    const isApart =
      !isInside(target, real) && !isInside(real, target) && !isInside(real, stagingPathOf(target));
    if (isApart) continue;
    throw new ApplyDeltaError("target-overlaps-source", "The folder to make overlaps a model that is read.", {
      file: target,
      got: `${given} and ${real}`,
      hint: "Choose a folder that is neither inside nor around a model that is read.",
    });
  }
}

/** The folder that is made takes the place of the one that is there, by a rename. */
function assertReplaceable(real: string): void {
  const refusal = (message: string, hint: string) =>
    new ApplyDeltaError("target-unwritable", message, {
      file: real,
      expected: "a folder that a new one can take the place of",
      hint,
    });
  if (isMountPoint(real)) {
    const inside = `Choose a folder in it: --target ${join(real, "model")}`;
    throw refusal("A disk or a volume is mounted at the folder to make.", inside);
  }
  if (isInside(process.cwd(), real)) {
    const outside = "Run the command from outside of it (`cd ..`), or choose a folder in it.";
    throw refusal("The folder to make is the one you are in.", outside);
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

function exists(file: string, message: string, hint: string): ApplyDeltaError {
  return new ApplyDeltaError("target-exists", message, { file, hint });
}

export function targetExists(target: string): ApplyDeltaError {
  const hint = "Choose another folder, or add --overwrite to replace this one once the new one is whole.";
  return exists(target, "The folder to make exists and isn't empty.", hint);
}

export function fileExists(target: string): ApplyDeltaError {
  const hint = "Choose another name, or add --overwrite to replace this file once the new one is whole.";
  return exists(target, "The file to make exists.", hint);
}

/** Follows links as far as the path exists; the rest is taken as it stands. */
function realPathOf(path: string): string {
  const existing = nearestExisting(path);
  return join(
    onTarget(path, () => realpathSync(existing)),
    relative(existing, path),
  );
}

/** The part of the path that exists. */
export function nearestExisting(path: string): string {
  try {
    onTarget(path, () => realpathSync(path));
    return path;
  } catch (error) {
    const isMissing = isApplyDeltaError(error) && errnoOf(error.details.cause) === "ENOENT";
    if (!isMissing || dirname(path) === path) throw error;
  }
  if (entryAt(path)?.isSymbolicLink()) {
    const hint = "Remove the link or choose another folder.";
    throw exists(path, "The folder to make is a symbolic link that leads nowhere.", hint);
  }
  return nearestExisting(dirname(path));
}

/** Whether `path` is `folder` or lies in it. */
function isInside(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way !== ".." && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}
