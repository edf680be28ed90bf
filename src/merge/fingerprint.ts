/**
 * Digests of all that the target's bytes depend on. Shards of an interrupted run are kept only where these are what
 * they were.
 */
import { createHash } from "node:crypto";
import { basename } from "node:path";
import type { Checkpoint } from "../formats/open.js";
import type { Fingerprint } from "../target/journal.js";
import { programVersion } from "../version.js";
import type { MergePlan } from "./merge-plan.js";

/** A side of the merge: its files and what their headers say. */
type Side = Pick<Checkpoint, "files" | "tensors">;

/**
 * Files by name, size and version (time, or commit on the Hub), headers by what they came to, options by
 * the plan they led to; and the program's version, since another may plan or add otherwise. `sides` are named as the
 * user should read them.
 */
export function fingerprintOf(sides: Readonly<Record<string, Side>>, plan: MergePlan): Fingerprint {
  const ofSides = Object.entries(sides).map(([role, side]) => [role, digest(describeSide(side))]);
  return { ...Object.fromEntries(ofSides), options: digest(describePlan(plan)), version: programVersion() };
}

function describeSide({ files, tensors }: Side): unknown {
  return {
    files: files.map(({ path, byteLength, version }) => [basename(path), byteLength, version]),
    tensors: tensors.map(({ pieces, ...view }) => ({
      ...view,
      pieces: pieces.map((piece) => ({ ...piece, file: basename(piece.file.path) })),
    })),
  };
}

function describePlan({ tensors, dropped: _, keys: _keys, shards, ...rest }: MergePlan): unknown {
  return {
    ...rest,
    tensors: tensors.map(({ base: _base, delta: _delta, ...tensor }) => tensor),
    shards: shards.map(({ fileName, byteLength, pieces }) => [
      fileName,
      byteLength,
      pieces.map(({ offsetBytes, bytes }) => [offsetBytes, digestBytes(bytes)]),
    ]),
  };
}

function digest(value: unknown): string {
  return digestBytes(JSON.stringify(value));
}

function digestBytes(bytes: string | Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
