/** One run at a time works in a folder. A lock whose run was killed is recognised and taken over. */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { z } from "zod";
import { ApplyDeltaError, errnoOf } from "../errors.js";
import { onTarget } from "./write-errors.js";

/** Who holds a lock. `started` tells a process from a later one of the same number; null where that can't be known. */
const holderSchema = z.object({ pid: z.int().positive(), host: z.string(), started: z.string().nullable() });

type Holder = z.infer<typeof holderSchema>;

export interface Lock {
  /** Where it lies once its folder has a new name. */
  release(path: string): void;
}

/** The locks of this process: two runs of one process share a process number. */
const held = new Set<string>();

/** Locks a folder to be made. Errors: `target-exists` where another run holds it, `target-unwritable`, `no-space`. */
export function takeLock(path: string): Lock {
  const lock = onTarget(path, () => tryLock(path, () => false));
  if (lock !== null) return { release: (at) => onTarget(at, () => lock.release(at)) };
  const holder = onTarget(path, () => readHolder(path));
  const who = holder === null ? "" : ` (process ${holder.pid} on ${holder.host})`;
  throw new ApplyDeltaError("target-exists", `Another run is making this folder${who}.`, {
    file: path,
    hint: "Wait until it has ended. If there is no such run, remove this file.",
  });
}

/**
 * Null where another run holds it. `isAbandoned` says whether a run on another machine, which can't be seen, has ended.
 * Throws the system's errors.
 */
export function tryLock(path: string, isAbandoned: () => boolean): Lock | null {
  if (held.has(path)) return null;
  if (!create(path, me()) && !takeOver(path, isAbandoned)) return null;
  held.add(path);
  return {
    release(at) {
      held.delete(path);
      rmSync(at, { force: true });
    },
  };
}

/** Of two runs that find a dead one's lock, one renames it and one creates the next; the other gives way. */
function takeOver(path: string, isAbandoned: () => boolean): boolean {
  const holder = readHolder(path);
  if (holder !== null && isAlive(holder, isAbandoned)) return false;
  const aside = `${path}.${process.pid}`;
  // Where another run was faster, its lock is seen below …
  succeeds("ENOENT", () => renameSync(path, aside));
  // … or faster still, and it is that lock which was put aside: it goes back.
  const moved = readHolder(aside);
  const isTheDead = () => JSON.stringify(moved) === JSON.stringify(holder);
  if (moved !== null && isAlive(moved, isTheDead)) create(path, moved);
  rmSync(aside, { force: true });
  return create(path, me());
}

function create(path: string, holder: Holder): boolean {
  return succeeds("EEXIST", () => writeFileSync(path, JSON.stringify(holder), { flag: "wx" }));
}

/** False where it fails with this errno. */
function succeeds(errno: string, step: () => void): boolean {
  try {
    step();
    return true;
  } catch (error) {
    if (errnoOf(error) === errno) return false;
    throw error;
  }
}

function me(): Holder {
  return { pid: process.pid, host: hostname(), started: startOf(process.pid) };
}

/** Null where the file is gone, none of ours, or was cut off: its run is dead. One that can't be read may be alive. */
function readHolder(path: string): Holder | null {
  try {
    return holderSchema.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch (error) {
    if ((errnoOf(error) ?? "ENOENT") !== "ENOENT") throw error;
    return null;
  }
}

/** On another machine that shares the folder nothing can be seen, so a holder there counts as alive unless told. */
function isAlive({ pid, host, started }: Holder, isAbandoned: () => boolean): boolean {
  if (host !== hostname()) return !isAbandoned();
  try {
    process.kill(pid, 0); // Signal 0 sends nothing; it asks whether the process is there.
  } catch (error) {
    if (errnoOf(error) !== "EPERM") return false;
  }
  return pid !== process.pid && startOf(pid) === started;
}

/** When a process was started, in the kernel's own count (proc(5), /proc/PID/stat, field 22); null outside Linux. */
export function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The second field is the program's name in brackets, and may hold spaces and brackets.
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? null;
  } catch {
    return null;
  }
}
