/** A base and the model tuned from it, small, on disk, and `make` and the way back as processes. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { SumDType } from "../../src/tensor.js";
import {
  floats,
  type ModelOptions,
  readSafetensorsFile,
  type Tensor,
  temporaryFolder,
  tinyShapes,
  writeModel,
} from "./model-folder.js";
import { roundTo, seededNormals } from "./numbers.js";
import { type CliResult, runCli } from "./run-cli.js";

const EMBEDDINGS = ["model.embed_tokens.weight", "lm_head.weight"];

/** A LLaMA in small and the model tuned from it, each weight by less than half of itself: every bit can come back. */
export function tunedPair(
  dtype: SumDType,
  rows = { base: 64, tuned: 64 },
  seed = 11,
): { base: Tensor[]; tuned: Tensor[] } {
  const normal = seededNormals(seed);
  const pair = { base: [] as Tensor[], tuned: [] as Tensor[] };
  for (const { name, shape } of tinyShapes(rows.tuned)) {
    const count = shape.reduce((product, extent) => product * extent, 1);
    const tuned = Float64Array.from({ length: count }, () => roundTo(dtype, normal() * 0.02));
    const base = tuned.map((value) => roundTo(dtype, value * (1 + 0.2 * Math.tanh(normal()))));
    const isGrown = shape[0] === rows.tuned && EMBEDDINGS.includes(name);
    const baseShape = isGrown ? [rows.base, ...shape.slice(1)] : shape;
    pair.tuned.push(floats(name, dtype, shape, tuned));
    pair.base.push(
      floats(name, dtype, baseShape, base.subarray(0, isGrown ? rows.base * (shape[1] ?? 0) : count)),
    );
  }
  return pair;
}

export interface Place {
  readonly root: string;
  readonly make: (...more: string[]) => Promise<CliResult>;
  readonly apply: (...more: string[]) => Promise<CliResult>;
}

export function place(
  context: TestContext,
  { base, tuned }: { base: readonly Tensor[]; tuned: readonly Tensor[] },
  options: { base?: ModelOptions; tuned?: ModelOptions } = {},
): Place {
  const root = temporaryFolder(context);
  writeModel(join(root, "base"), base, options.base);
  writeModel(join(root, "tuned"), tuned, options.tuned);
  const run = (args: readonly string[]) => runCli(args, { cwd: root });
  return {
    root,
    make: (...more) =>
      run(["make", "--base", "base", "--target", "tuned", "--delta", "delta", "--json", ...more]),
    apply: (...more) => run(["--base", "base", "--delta", "delta", "--target", "again", "--json", ...more]),
  };
}

export const tensorsIn = (folder: string) =>
  new Map(
    readdirSync(folder)
      .filter((name) => name.endsWith(".safetensors"))
      .flatMap((name) => readSafetensorsFile(join(folder, name)))
      .map((tensor) => [tensor.name, tensor]),
  );

export function assertSameTensors(folder: string, expected: readonly Tensor[]): void {
  const got = tensorsIn(folder);
  assert.deepEqual([...got.keys()].sort(), expected.map(({ name }) => name).sort());
  for (const { name, dtype, shape, bytes } of expected) {
    const tensor = got.get(name);
    assert.deepEqual({ dtype: tensor?.dtype, shape: tensor?.shape }, { dtype, shape }, name);
    assert.ok(Buffer.from(bytes).equals(tensor?.bytes ?? new Uint8Array()), `${name} differs`);
  }
}

export interface Made {
  delta: string;
  tensors: Record<string, number>;
  shards: { file: string }[];
  restores: {
    isExact: boolean;
    lost: number;
    zeroSigns: number;
    tensors: number;
    listed: { tensor: string }[];
  };
  applyWith: string[];
  warnings: string[];
}

export const made = ({ code, stdout, stderr }: CliResult): Made => {
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout) as Made;
};

export function assertSameTensorNames(folder: string, expected: readonly Tensor[]): void {
  assert.deepEqual([...tensorsIn(folder).keys()].sort(), expected.map(({ name }) => name).sort());
}
