/**
 * The tables of docs/base-check.md: the share of inexact sums, in percent, among the pairs with 0 < |d| <= |b|/2, for
 * bases and deltas that have come about in every way the check must tell apart.
 *
 *     npm run build && node dist/bench/base-check-table.js
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BASE_SAMPLE_MEMORY_BYTES, sampleBase } from "../src/base-check/sample-base.js";
import { noPause } from "../src/interrupt.js";
import { compileKernel, instantiateKernel } from "../src/kernel/select.js";
import type { SumDType } from "../src/tensor.js";
import { BASE_CASES, type BaseCase, matricesOf } from "../test/support/base-cases.js";

const ELEMENTS = 1024 * 1024;
const MATRIX = { rows: 256, columns: 256 };
const TUNINGS = [1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 5e-3];

const kernel = instantiateKernel(await compileKernel("auto"), BASE_SAMPLE_MEMORY_BYTES);
const folder = mkdtempSync(join(tmpdir(), "base-check-table-"));
try {
  for (const dtype of ["F16", "BF16", "F32"] as const) {
    console.log(`\n| ${dtype} | ${TUNINGS.map((s) => `s = ${s.toExponential()}`).join(" | ")} |`);
    console.log(`| --- |${" ---: |".repeat(TUNINGS.length)}`);
    for (const name of Object.keys(BASE_CASES) as BaseCase[]) {
      const percents: string[] = [];
      for (const s of TUNINGS) percents.push(await percentOf(name, dtype, s));
      console.log(`| ${name} | ${percents.join(" | ")} |`);
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}

async function percentOf(name: BaseCase, dtype: SumDType, s: number): Promise<string> {
  const numbers = BASE_CASES[name](dtype, ELEMENTS, s);
  const base = matricesOf(folder, "base", dtype, numbers.base, MATRIX);
  const delta = matricesOf(folder, "delta", dtype, numbers.delta, MATRIX);
  try {
    const { formats, comparable } = await sampleBase(base, delta, kernel, noPause);
    const inexact = formats.find((format) => format.dtype === dtype)?.inexact ?? Number.NaN;
    const percent = (100 * inexact) / comparable;
    return inexact === 0 ? "0" : percent.toPrecision(2 + Number(percent >= 10));
  } finally {
    base[0]?.file.close();
    delta[0]?.file.close();
  }
}
