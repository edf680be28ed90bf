/** What `npm run bench` times: commands, the files each reads, the bytes it writes, and what stands beside it. */
import { execFileSync } from "node:child_process";
import { cpSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import type { Pair } from "./make-pair.js";
import { runProgram } from "./program.js";

interface Run {
  readonly name: string;
  /** Gives the most memory it took, in bytes; 0 where nobody looked. */
  run(): Promise<number>;
}

export interface Case extends Run {
  /** Files that are read from end to end. */
  readonly reads: readonly string[];
  readonly writesBytes: number;
  /** A program of the system that does part of the same. */
  readonly rival: Run | null;
}

/** Folders of a bench. */
export interface Places {
  readonly root: string;
  /** What a run makes; it is removed after each. */
  readonly target: string;
  /** What the pair gives. */
  readonly merged: string;
  /** A copy of it, to `compare`: `cmp` looks into no file that has two names. */
  readonly copy: string;
}

export function placesIn(root: string): Places {
  return { root, target: join(root, "target"), merged: join(root, "merged"), copy: join(root, "copy") };
}

const WEIGHTS = /\.(?:safetensors|bin)$/;

export function weightsIn(...folders: readonly string[]): string[] {
  const named = (folder: string) => readdirSync(folder).filter((name) => WEIGHTS.test(name));
  return folders.flatMap((folder) => named(folder).map((name) => join(folder, name)));
}

export function modelsOf({ base, delta }: Pair): string[] {
  return ["--base", base, "--delta", delta];
}

function system(program: string, ...args: readonly string[]): number {
  execFileSync(program, args);
  return 0;
}

/** The merge of a pair, of whichever format. */
export function applyCase(pair: Pair, { target }: Places, name: string, ...options: string[]): Case {
  return {
    name,
    run: () => runProgram("apply", ...modelsOf(pair), "--target", target, ...options),
    reads: weightsIn(pair.base, pair.delta),
    writesBytes: pair.bytes,
    rival: null,
  };
}

/** What a GGUF's matrices take of the bytes of float16. */
const GGUF_SHARES = { auto: 1, q8_0: 17 / 32, q4_0: 9 / 32 };

function ggufCases(pair: Pair, places: Places): Case[] {
  return Object.entries(GGUF_SHARES).map(([dtype, share]) => ({
    ...applyCase(pair, places, `apply --format gguf, ${dtype}`, "--format", "gguf", "--dtype", dtype),
    writesBytes: pair.bytes * share,
  }));
}

/** All that is timed with the pair as it is; makes the merged model and its copy. */
export async function casesOf(pair: Pair, places: Places): Promise<Case[]> {
  const { target, merged, copy } = places;
  await runProgram("apply", ...modelsOf(pair), "--target", merged);
  cpSync(merged, copy, { recursive: true });
  const mergedWeights = weightsIn(merged);
  const copyOutput = async () => system("cp", "-r", merged, target);
  const copyAndSync = async () => {
    await copyOutput();
    return system("sync");
  };
  const compareAll = async () => {
    for (const path of mergedWeights) system("cmp", path, join(copy, basename(path)));
    return 0;
  };
  const reads = weightsIn(pair.base, pair.delta);
  return [
    { ...applyCase(pair, places, "apply"), rival: { name: "cp of the output, then sync", run: copyAndSync } },
    {
      ...applyCase(pair, places, "apply --no-sync", "--no-sync"),
      rival: { name: "cp of the output", run: copyOutput },
    },
    // What was written is read again.
    { ...applyCase(pair, places, "apply --checksums", "--checksums"), reads: [...reads, ...mergedWeights] },
    ...ggufCases(pair, places),
    {
      name: "make",
      run: () => runProgram("make", "--base", pair.base, "--tuned", merged, "--delta", target),
      reads: [...weightsIn(pair.base), ...mergedWeights],
      writesBytes: pair.bytes,
      rival: null,
    },
    {
      name: "verify --base --delta",
      run: () => runProgram("verify", merged, ...modelsOf(pair)),
      reads: [...reads, ...mergedWeights],
      writesBytes: 0,
      rival: null,
    },
    {
      name: "compare, equal",
      run: () => runProgram("compare", merged, copy),
      reads: [...mergedWeights, ...weightsIn(copy)],
      writesBytes: 0,
      rival: { name: "cmp, equal", run: compareAll },
    },
  ];
}
