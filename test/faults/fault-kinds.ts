/**
 * What can go wrong with an operation on a file, by name: which operations it can meet, what it does to them, and what
 * a run that met it is expected to do.
 */

/** Whose file an operation is about. */
export const ROLES = ["none", "source", "target"] as const;
export type Role = (typeof ROLES)[number];

/** Operations of `node:fs` that the program uses, in one list, so that they have numbers. */
export const OPERATIONS = [
  ...["accessSync", "closeSync", "existsSync", "fstatSync", "fsync", "fsyncSync"],
  ...["ftruncateSync", "lstatSync", "mkdirSync", "openSync", "read", "readFileSync", "readSync"],
  ...["readdirSync"],
  ...["realpathSync", "renameSync", "rmSync", "rmdirSync", "statSync", "statfsSync", "writeFileSync"],
  ...["write", "writeSync"],
];

/** Those that call back. */
export const CALLING_BACK: readonly string[] = ["fsync", "read", "write"];

const READING = ["read", "readSync"];
const WRITING = ["write", "writeSync"];

/** An operation that is about to be done. */
export interface Operation {
  readonly name: string;
  readonly role: Role;
  /** Opens a file to write to it, or is of no kind that opens. */
  readonly isCreating: boolean;
  /** Bytes it asks for; 0 where it moves none. */
  readonly byteLength: number;
}

export interface FaultKind {
  readonly name: string;
  /** The errno it fails with; null where it doesn't fail. */
  readonly errno: string | null;
  /** Whether every later operation of the same side fails, too. */
  readonly lasts: boolean;
  /** Whether a run has to end as if nothing had been. */
  readonly isSurvived: boolean;
  meets(operation: Operation): boolean;
}

const OPENING = ["openSync", "readdirSync", "readFileSync", "writeFileSync"];

/** What needs room on a disk, or finds out late that there was none (fsync and close, on network file systems). */
const FILLING = [
  ...[...WRITING, "writeFileSync", "mkdirSync", "ftruncateSync", "renameSync"],
  ...["fsync", "fsyncSync", "closeSync", "openSync"],
];

const isFilling = ({ name, role, isCreating }: Operation) =>
  role === "target" && FILLING.includes(name) && (name !== "openSync" || isCreating);

const failing = (errno: string, meets: FaultKind["meets"]): FaultKind => ({
  ...{ name: errno, errno, lasts: false, isSurvived: false, meets },
});

export const FAULT_KINDS: readonly FaultKind[] = [
  failing("EIO", () => true),
  failing("ENOSPC", isFilling),
  failing("EDQUOT", isFilling),
  failing("EMFILE", ({ name }) => OPENING.includes(name)),
  { ...failing("EIO", () => true), name: "vanished", lasts: true },
  {
    ...failing("", ({ name, role }) => READING.includes(name) && role === "source"),
    name: "end",
    errno: null,
  },
  {
    ...{ name: "short", errno: null, lasts: false, isSurvived: true },
    meets: ({ name, byteLength }) => [...READING, ...WRITING].includes(name) && byteLength > 1,
  },
  {
    // close(2) never says it: libuv takes it as done. existsSync has no way to say it.
    ...{ name: "EINTR", errno: "EINTR", lasts: false, isSurvived: true },
    meets: ({ name }) => name !== "closeSync" && name !== "existsSync",
  },
  { name: "slow", errno: null, lasts: false, isSurvived: true, meets: () => true },
];

/** A fault as it is given to a process: the kind, and the operation that meets it, counted from 1. */
export interface Fault {
  readonly kind: string;
  readonly at: number;
}

/** What the layer is told by the environment. */
export interface LayerOptions {
  /** All below these folders is the sources', or the target's. */
  readonly source: string;
  readonly target: string;
  /** Null: until one is armed, none. */
  readonly fault: Fault | null;
  /** What every worker thread does at its start, in place of its work. */
  readonly workers?: "exit" | "throw" | "exhaust" | undefined;
}

export const OPTIONS_VARIABLE = "FAULT_LAYER";
