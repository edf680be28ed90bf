/**
 * In: a checked target path. Out: a folder beside it to work in, which becomes the target by one rename.
 * Guards: a target appears whole or not at all. Whatever fails, the folder that was at the target before is
 * there still, and the unfinished one is not.
 */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { ApplyDeltaError, errnoOf } from "../errors.js";
import { closeShardFile, createShardFile, type ShardFile } from "./shard-file.js";
import { stagingPathOf } from "./target.js";
import { onTarget } from "./target-error.js";

/** Marks a folder as ours, so that one left behind by a killed run may be removed and no other. Holds the run's pid. */
const MARKER = ".vicuna-apply-delta";

/** The folders this process is working in. */
const inUse = new Set<string>();

export interface Staging {
  readonly folder: string;
  /** Whether a folder left by an earlier, killed run was removed to make room. */
  readonly replacedLeftover: boolean;
  /** Creates a file of its final length that begins with `head`; it stays open until `commit` or `discard`. */
  createFile(name: string, byteLength: number, head: Uint8Array): ShardFile;
  writeText(name: string, text: string): void;
  copyFile(source: string, name: string): void;
  /** Publishes the folder as the target. */
  commit(): void;
  /** Removes the folder and every parent that was made for it. */
  discard(): void;
}

/** Errors: `target-exists` (the folder isn't ours or a run works in it), `target-unwritable`, `no-space`. */
export function createStaging(target: string): Staging {
  const folder = stagingPathOf(target);
  const parent = dirname(target);
  const replacedLeftover = removeLeftover(folder);
  const madeParent = onTarget(parent, () => mkdirSync(parent, { recursive: true }));
  const removeMadeParents = () => {
    if (madeParent !== undefined) removeEmptyParents(parent, madeParent);
  };
  try {
    makeWorkFolder(folder);
  } catch (error) {
    removeMadeParents();
    throw error;
  }
  const open: ShardFile[] = [];
  const closeAll = () => {
    for (const file of open.splice(0)) closeShardFile(file);
  };
  return {
    folder,
    replacedLeftover,
    createFile(name, byteLength, head) {
      const file = createShardFile(join(folder, name), byteLength, head);
      open.push(file);
      return file;
    },
    writeText(name, text) {
      const path = join(folder, name);
      onTarget(path, () => writeFileSync(path, text, { flag: "wx" }));
    },
    copyFile(source, name) {
      const path = join(folder, name);
      onTarget(path, () => copyFileSync(source, path));
    },
    commit() {
      closeAll();
      publish(folder, target);
      // Last, so that a run killed here leaves a whole model, with a hidden file too many.
      onTarget(target, () => rmSync(join(target, MARKER)));
      inUse.delete(folder);
    },
    discard() {
      closeAll();
      rmSync(folder, { recursive: true, force: true });
      inUse.delete(folder);
      removeMadeParents();
    },
  };
}

function removeLeftover(folder: string): boolean {
  if (!existsSync(folder)) return false;
  if (!existsSync(join(folder, MARKER))) {
    throw new ApplyDeltaError(
      "target-exists",
      "The folder to work in exists already and isn't this tool's.",
      {
        file: folder,
        hint: "Move it away or choose another --target.",
      },
    );
  }
  const pid = Number(onTarget(folder, () => readFileSync(join(folder, MARKER), "utf8")));
  if (pid === process.pid ? inUse.has(folder) : isRunning(pid)) {
    throw new ApplyDeltaError("target-exists", `Another run is making this target (process ${pid}).`, {
      file: folder,
      hint: "Wait until it has ended. If there is no such run, remove the folder.",
    });
  }
  onTarget(folder, () => rmSync(folder, { recursive: true }));
  return true;
}

function isRunning(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0); // Signal 0 sends nothing; it asks whether the process is there.
    return true;
  } catch (error) {
    return errnoOf(error) === "EPERM";
  }
}

function makeWorkFolder(folder: string): void {
  onTarget(folder, () => mkdirSync(folder));
  try {
    onTarget(folder, () => writeFileSync(join(folder, MARKER), String(process.pid)));
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
  inUse.add(folder);
}

/** One rename; a folder in its place is moved aside first and removed only when the new one is there. */
function publish(folder: string, target: string): void {
  if (!existsSync(target)) {
    onTarget(target, () => renameSync(folder, target));
    return;
  }
  if (readdirSync(target).length === 0) {
    onTarget(target, () => rmdirSync(target));
    onTarget(target, () => renameSync(folder, target));
    return;
  }
  const aside = `${target}.replaced-${process.pid}`;
  onTarget(target, () => renameSync(target, aside));
  try {
    renameSync(folder, target);
  } catch (error) {
    renameSync(aside, target);
    onTarget(target, () => {
      throw error;
    });
  }
  onTarget(aside, () => rmSync(aside, { recursive: true }));
}

function removeEmptyParents(from: string, last: string): void {
  for (let folder = from; folder.startsWith(last); folder = dirname(folder)) {
    if (readdirSync(folder).length > 0) return;
    rmdirSync(folder);
  }
}
