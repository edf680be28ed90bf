/**
 * A lock in a folder that several machines may share: a file that is made by one of them alone, and touched now and then
 * while its run goes on. Nothing else is trusted: flock doesn't reach every file system, process numbers mean nothing on
 * another machine or in another container, and clocks differ. A lock that nobody touches for a minute, by the clock of
 * the one who looks, is a dead run's. Where a process can be seen, it is asked, and nobody waits.
 */
import { randomBytes } from "node:crypto";
import { readFileSync, readlinkSync, renameSync, rmSync, utimesSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { threadId } from "node:worker_threads";
import * as z from "zod";
import { ApplyDeltaError, errnoOf, uninterrupted } from "../errors.js";
import { throwIfAborted } from "../interrupt.js";
import { writeOwnFile } from "./own-file.js";
import { openSmallFile } from "./small-file.js";
import { quietly } from "./write-errors.js";

const TOUCH_MS = 5_000;
const SILENT_MS = 60_000;
const LOOK_MS = 500;

/** One that names nobody is being written, or its run could neither write it nor remove it. */
const NAMELESS_MS = 5_000;

/** A lock is some 200 bytes. */
const MAX_LOCK_BYTES = 4096;

/**
 * Who holds a lock. `place` tells where process numbers mean the same, `started` a process from a later one of the same
 * number; null where that can't be known. `thread` is that of the process. `id` is one for each lock that is taken.
 */
const holderSchema = z.object({
  pid: z.int().positive(),
  host: z.string(),
  place: z.string(),
  started: z.string().nullable(),
  thread: z.int(),
  id: z.string(),
});

type Holder = z.infer<typeof holderSchema>;

export interface Lock {
  /** Throws `target-unwritable` where another run has taken it, since this one was silent for too long. */
  assertHeld(): void;
  /** The folder has a new name. */
  moveTo(folder: string): void;
  release(): void;
}

export interface LockOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called once where another run holds it, or may. */
  readonly onWait?: () => void;
  /** How long one that can't be seen may be silent. */
  readonly silentMs?: number;
}

/** The locks of this thread: two runs of a process share its number. */
const held = new Set<string>();

/** Takes the lock of that name, or waits until it is free. Throws the system's errors and `interrupted`. */
export async function waitForLock(folder: string, name: string, options: LockOptions = {}): Promise<Lock> {
  const lock = await acquire(join(folder, name), true, options);
  if (lock === null) throw new Error("waiting for a lock ended without one");
  return new HeldLock(folder, name, lock);
}

/** Takes the lock of that name. Errors: `target-busy` where another run holds it; `interrupted`; the system's. */
export async function takeLock(folder: string, name: string, options: LockOptions = {}): Promise<Lock> {
  const path = join(folder, name);
  const id = await acquire(path, false, options);
  if (id !== null) return new HeldLock(folder, name, id);
  throw busy(path);
}

/** Errors: `target-busy` where a run holds the lock of that name, or may. */
export function assertUnlocked(folder: string, name: string): void {
  const path = join(folder, name);
  const { holder } = lookAt(path);
  if (holder !== null && !isSurelyDead(holder)) throw busy(path);
}

function busy(path: string): ApplyDeltaError {
  const holder = readHolder(path);
  const who = holder === null ? "" : ` (process ${holder.pid} on ${holder.host})`;
  return new ApplyDeltaError("target-busy", `Another run is making this folder${who}.`, {
    file: path,
    hint: "Wait until it has ended. If there is no such run, remove this file.",
  });
}

/** The id under which it is held; null where another run is alive and isn't to be waited for. */
async function acquire(path: string, waits: boolean, options: LockOptions): Promise<string | null> {
  const { signal, onWait, silentMs = SILENT_MS } = options;
  let seen: { state: string; since: number; silentMs: number } | null = null;
  for (;;) {
    throwIfAborted(signal);
    const isSilent = seen !== null && performance.now() - seen.since > seen.silentMs;
    const id = tryLock(path, isSilent ? seen?.state : undefined);
    if (id !== null) return id;
    const { holder, state } = lookAt(path);
    const isTouched = seen !== null && state !== seen.state;
    if (!waits && (isTouched || isSurelyAlive(holder))) return null;
    if (seen === null) onWait?.();
    if (seen === null || isTouched) {
      const longest = holder === null ? Math.min(NAMELESS_MS, silentMs) : silentMs;
      seen = { state, since: performance.now(), silentMs: longest };
    }
    await sleep(Math.min(LOOK_MS, silentMs));
  }
}

/** Takes a lock that is free or a dead run's. `silentState`: as it looked all the time while nobody touched it. */
function tryLock(path: string, silentState: string | undefined): string | null {
  const me = newHolder();
  if (create(path, me)) return me.id;
  const { holder, state } = lookAt(path);
  if (isSurelyAlive(holder) || !(isSurelyDead(holder) || state === silentState)) return null;
  // Of two runs that find a dead one's lock, one renames it and one creates the next; the other gives way.
  const aside = `${path}.${me.id}`;
  if (!succeeds("ENOENT", () => renameSync(path, aside))) return create(path, me) ? me.id : null;
  const moved = readHolder(aside);
  uninterrupted(() => rmSync(aside, { force: true }));
  // Another run was faster still, and it is its lock which was put aside: it goes back.
  if (moved !== null && moved.id !== holder?.id) create(path, moved);
  return create(path, me) ? me.id : null;
}

class HeldLock implements Lock {
  readonly #timer: NodeJS.Timeout;
  #path: string;

  constructor(
    folder: string,
    private readonly name: string,
    private readonly id: string,
  ) {
    this.#path = join(folder, name);
    held.add(id);
    this.#timer = setInterval(() => this.#touch(), TOUCH_MS).unref();
  }

  readonly assertHeld = (): void => {
    const holder = readHolder(this.#path);
    // One that was removed by hand: somebody wants another run to go on, and sees to it that there is one.
    if (holder === null || holder.id === this.id) return;
    throw new ApplyDeltaError("target-unwritable", "Another run has taken over the folder.", {
      file: this.#path,
      got: `process ${holder.pid} on ${holder.host}`,
      hint: "This one was stopped or cut off for a minute: let the other one end.",
    });
  };

  readonly moveTo = (folder: string): void => {
    this.#path = join(folder, this.name);
  };

  readonly release = (): void => {
    clearInterval(this.#timer);
    held.delete(this.id);
    if (readHolder(this.#path)?.id === this.id) rmSync(this.#path, { force: true });
  };

  #touch(): void {
    quietly(() => {
      const now = new Date();
      if (readHolder(this.#path)?.id === this.id) utimesSync(this.#path, now, now);
    });
  }
}

function newHolder(): Holder {
  const id = randomBytes(8).toString("hex");
  return {
    pid: process.pid,
    host: hostname(),
    place: placeOf(),
    started: startOf(process.pid),
    thread: threadId,
    id,
  };
}

function create(path: string, holder: Holder): boolean {
  return succeeds("EEXIST", () => writeOwnFile(path, "new", JSON.stringify(holder)));
}

/** False where it fails with this errno; again where a signal cut it short. */
function succeeds(errno: string, step: () => void): boolean {
  try {
    uninterrupted(step);
    return true;
  } catch (error) {
    if (errnoOf(error) === errno) return false;
    throw error;
  }
}

/** Null where the file is gone, none of ours, or was cut off. */
function readHolder(path: string): Holder | null {
  return lookAt(path).holder;
}

/**
 * Whose it is, and a text that changes when it is touched. The file is opened for it: a network file system may answer a
 * look alone from memory.
 */
function lookAt(path: string): { holder: Holder | null; state: string } {
  const file = uninterrupted(() => openSmallFile(path, MAX_LOCK_BYTES));
  if (file.kind !== "bytes") return { holder: null, state: file.kind };
  const parsed = holderSchema.safeParse(jsonOf(file.bytes));
  const holder = parsed.success ? parsed.data : null;
  return { holder, state: `${holder?.id} ${file.modifiedNs}` };
}

function jsonOf(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch {
    return null;
  }
}

function isSurelyAlive(holder: Holder | null): boolean {
  if (holder === null) return false;
  return held.has(holder.id) || processState(holder) === "alive";
}

function isSurelyDead(holder: Holder | null): boolean {
  return holder !== null && !held.has(holder.id) && processState(holder) === "dead";
}

/** Unknown on another machine, in another container, and of another thread of this process. */
function processState({ pid, place, started, thread }: Holder): "alive" | "dead" | "unknown" {
  if (place !== placeOf()) return "unknown";
  try {
    process.kill(pid, 0); // Signal 0 sends nothing; it asks whether the process is there.
  } catch (error) {
    if (errnoOf(error) !== "EPERM") return "dead";
  }
  if (startOf(pid) !== started) return "dead";
  if (pid !== process.pid) return "alive";
  return thread === threadId ? "dead" : "unknown";
}

/** Where process numbers mean the same: a machine since its start, and there one namespace (pid_namespaces(7)). */
function placeOf(): string {
  try {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
    return `${boot} ${readlinkSync("/proc/self/ns/pid")}`;
  } catch {
    return hostname();
  }
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
