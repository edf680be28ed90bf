/**
 * A small merge that has everything a large one has: shards and an index on both sides, pickles, safetensors and files
 * beside the weights, three shards and more to write. In: a folder. Out: the merge, and what its target must be.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tinyPair, tinyShapes, writeModel } from "../support/model-folder.js";

export interface SmallMerge {
  /** Nothing but the target is in here. */
  readonly out: string;
  readonly target: string;
  readonly sources: string;
  readonly args: readonly string[];
}

export function makeSmallMerge(root: string): SmallMerge {
  const sources = join(root, "sources");
  const out = join(root, "out");
  mkdirSync(out, { recursive: true });
  // Few tensors: each costs a step in every row of the matrix.
  const shapes = tinyShapes(64, 32, 1).filter(({ name }) => /embed|lm_head|[ko]_proj|gate/.test(name));
  const pair = tinyPair(7, shapes);
  const base = writeModel(join(sources, "base"), pair.base, { format: "torch", shards: 2 });
  const delta = writeModel(join(sources, "delta"), pair.delta, { shards: 2 });
  writeFileSync(join(delta, "generation_config.json"), '{"bos_token_id": 1, "eos_token_id": 2}\n');
  const target = join(out, "target");
  const options = ["--max-shard-size", "5KB", "--threads", "1", "--json"];
  return {
    ...{ out, target, sources },
    args: ["--base", base, "--delta", delta, "--target", target, ...options],
  };
}

/** Every file below a folder with its bytes; null where there is no folder. */
export function contents(folder: string): Map<string, Buffer> | null {
  if (statSync(folder, { throwIfNoEntry: false }) === undefined) return null;
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((item) => item.isFile());
  const paths = files.map((item) => join(item.parentPath ?? item.path, item.name));
  return new Map(paths.sort().map((path) => [path.slice(folder.length + 1), readFileSync(path)]));
}

/** What differs between two folders, in words; null where nothing does. */
export function difference(
  got: ReadonlyMap<string, Buffer> | null,
  expected: ReadonlyMap<string, Buffer>,
): string | null {
  if (got === null) return "it isn't there";
  for (const name of new Set([...got.keys(), ...expected.keys()])) {
    const [a, b] = [got.get(name), expected.get(name)];
    if (a === undefined) return `${name} is missing`;
    if (b === undefined) return `${name} is too many`;
    if (!a.equals(b)) return `${name} differs`;
  }
  return null;
}

/** Something else in the target's place, for runs with --overwrite. */
export function makeOldTarget({ target }: SmallMerge): void {
  mkdirSync(join(target, "more"), { recursive: true });
  writeFileSync(join(target, "config.json"), "the old one");
  writeFileSync(join(target, "more", "notes.txt"), "of the old one");
}

export function clear({ out }: SmallMerge): void {
  for (const name of readdirSync(out)) rmSync(join(out, name), { recursive: true });
}

/** A copy with times to the nanosecond, which a journal compares; Node's own has fewer digits. */
export function copyFolder(from: string, to: string): void {
  execFileSync("cp", ["-a", from, to]);
}
