/** Runs one of the cases in spoiled-models.ts through the base check, and holds what is named against what should be. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkBase } from "../../src/base-check/check-base.js";
import type { BaseCheck } from "../../src/base-check/documents.js";
import { sampleBase } from "../../src/base-check/sample-base.js";
import { SAMPLE_MEMORY_BYTES } from "../../src/base-check/tensor-sample.js";
import { noPause } from "../../src/interrupt.js";
import { compileKernel, instantiateKernel } from "../../src/kernel/select.js";
import type { SumDType } from "../../src/tensor.js";
import { writeSide } from "./spoiled-files.js";
import { makePair, SPOILED_MODELS, shapesOf } from "./spoiled-models.js";

const kernel = instantiateKernel(await compileKernel("auto"), SAMPLE_MEMORY_BYTES);

export interface BaseCaseResult {
  readonly check: BaseCheck;
  /** Tensors that should be named and aren't, though they can be judged. */
  readonly missing: readonly string[];
  /** Tensors that are named and are as they should be. */
  readonly wronglyNamed: readonly string[];
}

export async function runBaseCase(
  name: string,
  dtype: SumDType,
  s: number,
  isTied: boolean,
): Promise<BaseCaseResult> {
  const folder = mkdtempSync(join(tmpdir(), "base-case-"));
  const { make } = SPOILED_MODELS[name] as (typeof SPOILED_MODELS)[string];
  const spoiled = make(makePair(dtype, s, isTied));
  const shapes = shapesOf(isTied);
  const base = writeSide(folder, "base", dtype, spoiled.base, shapes, spoiled.overwrite);
  const delta = writeSide(folder, "delta", dtype, spoiled.delta, shapes, spoiled.overwrite);
  try {
    const sample: Parameters<typeof checkBase>[2] = (b, d) => sampleBase(b, d, kernel, noPause);
    const check = await checkBase(base, delta, sample, [16]);
    const named = new Set(check.cause?.tensors ?? []);
    const canBeJudged = new Set(
      check.tensors
        .filter(({ verdict }) => verdict !== "zero" && verdict !== "too-few")
        .map((tensor) => tensor.name),
    );
    const wanted = spoiled.named;
    return {
      check,
      missing: (wanted ?? []).filter((tensor) => canBeJudged.has(tensor) && !named.has(tensor)),
      wronglyNamed: wanted === null ? [] : [...named].filter((tensor) => !wanted.includes(tensor)),
    };
  } finally {
    for (const view of [...base, ...delta]) view.pieces[0].file.close();
    rmSync(folder, { recursive: true });
  }
}
