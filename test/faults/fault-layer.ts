/**
 * Put before the program by `node --import`, and so before each of its worker threads: replaces functions of `node:fs`
 * by ones that fail at the Nth operation on the files of a merge. In: `LayerOptions` in the environment, or faults
 * that are armed later. The count, and which descriptor is whose, are shared by all threads.
 */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { constants } from "node:os";
import { getEnvironmentData, isMainThread, setEnvironmentData } from "node:worker_threads";
import {
  CALLING_BACK,
  FAULT_KINDS,
  type Fault,
  type FaultKind,
  type LayerOptions,
  OPERATIONS,
  OPTIONS_VARIABLE,
  type Operation,
  ROLES,
  type Role,
} from "./fault-kinds.js";

/** What met the fault, and how often. */
export interface Hit {
  readonly operation: string;
  readonly role: Role;
}

type Callback = (error: Error | null, byteLength?: number) => void;
type FileFunction = (...args: unknown[]) => unknown;

const options = JSON.parse(process.env[OPTIONS_VARIABLE] ?? "null") as LayerOptions | null;

/** Indices into the shared counters. */
const [KIND, AT, COUNT, HIT_OPERATION, HIT_ROLE] = [0, 1, 2, 3, 4];
const COUNTERS = 8;
const MOST_DESCRIPTORS = 4096;
const SHARED = "fault-layer";
const SLOW_MS = 10;

const shared = sharedMemory();
const counters = new Int32Array(shared, 0, COUNTERS);
const roleOfFd = new Uint8Array(shared, COUNTERS * 4, MOST_DESCRIPTORS);

function sharedMemory(): SharedArrayBuffer {
  const given = getEnvironmentData(SHARED);
  if (given instanceof SharedArrayBuffer) return given;
  const made = new SharedArrayBuffer(COUNTERS * 4 + MOST_DESCRIPTORS);
  setEnvironmentData(SHARED, made);
  return made;
}

/** From now on the fault's kind is counted, and met once. */
export function armFault({ kind, at }: Fault): void {
  counters.fill(0);
  counters[AT] = at;
  counters[KIND] = 1 + FAULT_KINDS.findIndex(({ name }) => name === kind);
}

/** Ends it; null where fewer operations were done than `at`. */
export function disarmFault(): Hit | null {
  const operation = OPERATIONS[(counters[HIT_OPERATION] ?? 0) - 1];
  const role = ROLES[counters[HIT_ROLE] ?? 0] ?? "none";
  counters.fill(0);
  return operation === undefined ? null : { operation, role };
}

/** The fault that this operation meets, if any. */
function faultFor(operation: Operation): FaultKind | null {
  const kind = FAULT_KINDS[Atomics.load(counters, KIND as number) - 1];
  if (kind === undefined || operation.role === "none" || !kind.meets(operation)) return null;
  const count = Atomics.add(counters, COUNT as number, 1) + 1;
  const at = counters[AT] as number;
  if (count === at) {
    counters[HIT_OPERATION] = 1 + OPERATIONS.indexOf(operation.name);
    counters[HIT_ROLE] = ROLES.indexOf(operation.role);
    return kind;
  }
  return kind.lasts && count > at && counters[HIT_ROLE] === ROLES.indexOf(operation.role) ? kind : null;
}

function roleOf(subject: unknown): Role {
  if (typeof subject === "number") return ROLES[roleOfFd[subject] ?? 0] ?? "none";
  if (typeof subject !== "string" || options === null) return "none";
  const [, ofOpenFile] = /^\/proc\/self\/fd\/(\d+)$/.exec(subject) ?? [];
  if (ofOpenFile !== undefined) return roleOf(Number(ofOpenFile));
  const isBelow = (folder: string) => subject === folder || subject.startsWith(`${folder}/`);
  return isBelow(options.source) ? "source" : isBelow(options.target) ? "target" : "none";
}

function describe(name: string, args: readonly unknown[]): Operation {
  const [subject, second, , length] = args;
  const isWriting = typeof second === "number" ? (second & 3) !== 0 : /[wa]/.test(String(second));
  return {
    name,
    role: roleOf(subject),
    isCreating: name !== "openSync" || isWriting,
    byteLength: typeof length === "number" ? length : typeof second === "string" ? second.length : 0,
  };
}

function systemError(errno: string, name: string): Error {
  const number = -((constants.errno as Record<string, number>)[errno] ?? 0);
  const syscall = name.replace(/Sync$/, "");
  return Object.assign(new Error(`${errno}: made on purpose, ${syscall}`), {
    code: errno,
    errno: number,
    syscall,
  });
}

/** What an operation that fails in the middle has done by then. */
const HALVES: Readonly<Record<string, FileFunction>> = {
  writeFileSync: (path, text, how) =>
    real.writeFileSync?.(path, Buffer.from(text as string).subarray(0, (text as string).length / 2), how),
  rmSync: (path, how) => {
    const isTree = (how as { recursive?: boolean } | undefined)?.recursive === true;
    if (!isTree || !fs.lstatSync(path as string, { throwIfNoEntry: false })?.isDirectory()) return;
    const [first] = fs.readdirSync(path as string);
    if (first !== undefined) real.rmSync?.(`${path}/${first}`, how);
  },
  // A descriptor is gone whatever close says.
  closeSync: (fd) => real.closeSync?.(fd),
};

/** Half of the bytes, and of whole blocks where there are many, as a disk would. */
function shortened(args: readonly unknown[]): unknown[] {
  const [fd, data, offset, length, position] = args;
  if (typeof data === "string") return [fd, data.slice(0, data.length >> 1)];
  const half = (length as number) >> 1;
  return [fd, data, offset, half > 512 ? half - (half % 512) : half, position];
}

function perform(name: string, args: readonly unknown[], fault: FaultKind | null): unknown {
  const original = real[name] as FileFunction;
  if (fault === null) return original(...args);
  if (fault.name === "slow") Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, SLOW_MS);
  if (fault.name === "slow") return original(...args);
  if (fault.name === "short") return original(...shortened(args));
  if (fault.name === "end") return 0;
  if (!fault.lasts || name === "closeSync") HALVES[name]?.(...args);
  if (name === "existsSync") return false;
  throw systemError(fault.errno ?? "EIO", name);
}

const real: Record<string, FileFunction> = {};
/** Functions of `node:fs` call each other: only the outermost is the program's. */
let depth = 0;

function replacement(name: string): FileFunction {
  return (...args) => {
    if (depth > 0) return (real[name] as FileFunction)(...args);
    depth++;
    try {
      const operation = describe(name, args);
      const result = perform(name, args, faultFor(operation));
      if (name === "openSync") roleOfFd[result as number] = ROLES.indexOf(operation.role);
      return result;
    } finally {
      if (name === "closeSync") roleOfFd[args[0] as number] = 0;
      depth--;
    }
  };
}

/** For functions that call back. */
function backgroundReplacement(name: string): FileFunction {
  const original = (...args: unknown[]) => (real[name] as FileFunction)(...args);
  return (...args) => {
    const fault = faultFor(describe(name, args));
    const callback = args.at(-1) as Callback;
    if (fault === null || fault.name === "slow") original(...args);
    else if (fault.name === "short") original(...shortened(args), callback);
    else if (fault.name === "end") setImmediate(callback, null, 0);
    else setImmediate(callback, systemError(fault.errno ?? "EIO", name));
  };
}

function misbehave(how: NonNullable<LayerOptions["workers"]>): void {
  if (how === "exit") process.exit(0);
  if (how === "throw") throw new Error("thrown on purpose");
  const hoard: unknown[] = [];
  for (;;) hoard.push(Array.from({ length: 1000 }, (_, i) => ({ i })));
}

if (options !== null) {
  const functions = fs as unknown as Record<string, FileFunction>;
  for (const name of OPERATIONS) {
    const original = functions[name] as FileFunction;
    real[name] = original;
    const replaced = CALLING_BACK.includes(name) ? backgroundReplacement(name) : replacement(name);
    // With what hangs on it: `realpathSync.native`, what `promisify` gives.
    functions[name] = Object.defineProperties(replaced, Object.getOwnPropertyDescriptors(original));
  }
  syncBuiltinESMExports();
  if (isMainThread && options.fault !== null) armFault(options.fault);
  if (!isMainThread && options.workers !== undefined) misbehave(options.workers);
}
