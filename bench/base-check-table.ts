/**
 * The tables of docs/base-check.md.
 *
 *     npm run base-check-table
 *
 * First the share of inexact sums, in percent, among the comparable pairs, for bases and deltas that came about in every
 * way the check must tell apart. Then every way of spoiling a model, in three formats, for three strengths of tuning,
 * with a head of its own and without: how many are judged rightly, and whether the right tensors are named.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sampleBase } from "../src/base-check/sample-base.js";
import { SAMPLE_MEMORY_BYTES } from "../src/base-check/tensor-sample.js";
import { noPause } from "../src/interrupt.js";
import { compileKernel, instantiateKernel } from "../src/kernel/select.js";
import type { SumDType } from "../src/tensor.js";
import { BASE_CASES, type BaseCase, matricesOf } from "../test/support/base-cases.js";
import { runBaseCase } from "../test/support/run-spoiled-model.js";
import { SPOILED_MODELS } from "../test/support/spoiled-models.js";

const ELEMENTS = 1024 * 1024;
const MATRIX = { rows: 256, columns: 256 };
const TUNINGS = [1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 5e-3];
const DTYPES = ["F16", "BF16", "F32"] as const;

const kernel = instantiateKernel(await compileKernel("auto"), SAMPLE_MEMORY_BYTES);
const folder = mkdtempSync(join(tmpdir(), "base-check-table-"));
try {
  for (const dtype of DTYPES) {
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
await printCases();

async function percentOf(name: BaseCase, dtype: SumDType, s: number): Promise<string> {
  const numbers = BASE_CASES[name](dtype, ELEMENTS, s);
  const base = matricesOf(folder, "base", dtype, numbers.base, MATRIX);
  const delta = matricesOf(folder, "delta", dtype, numbers.delta, MATRIX);
  try {
    const samples = await sampleBase(base, delta, kernel, noPause);
    const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
    const inexact = sum(samples.map((sample) => sample.inexact[dtype]));
    const percent = (100 * inexact) / sum(samples.map(({ comparable }) => comparable));
    return inexact === 0 ? "0" : percent.toPrecision(2 + Number(percent >= 10));
  } finally {
    base[0]?.pieces[0].file.close();
    delta[0]?.pieces[0].file.close();
  }
}

async function printCases(): Promise<void> {
  console.log("\n| what was done | cases | judged rightly | tensors missed | wrongly named |");
  console.log("| --- | ---: | ---: | ---: | ---: |");
  const all = { cases: 0, right: 0, missed: 0, wrong: 0 };
  for (const [name, { verdicts }] of Object.entries(SPOILED_MODELS)) {
    const row = { cases: 0, right: 0, missed: 0, wrong: 0 };
    for (const dtype of DTYPES) {
      // Rounding a bfloat16 base through bfloat16 changes nothing.
      if (dtype === "BF16" && name === "rounded through bfloat16") continue;
      for (const s of [3e-4, 1e-3, 3e-3]) {
        for (const isTied of [false, true]) {
          const { check, missing, wronglyNamed } = await runBaseCase(name, dtype, s, isTied);
          row.cases++;
          row.right += Number(verdicts.includes(check.verdict));
          row.missed += missing.length;
          row.wrong += wronglyNamed.length;
          if (!verdicts.includes(check.verdict) || missing.length + wronglyNamed.length > 0)
            console.error(name, dtype, s, isTied, check.sentence, missing, wronglyNamed);
        }
      }
    }
    console.log(`| ${name} | ${row.cases} | ${row.right} | ${row.missed} | ${row.wrong} |`);
    for (const key of Object.keys(all) as (keyof typeof all)[]) all[key] += row[key];
  }
  console.log(`| all | ${all.cases} | ${all.right} | ${all.missed} | ${all.wrong} |`);
}
