import assert from "node:assert/strict";
import { test } from "node:test";
import { readPartWord } from "../../src/cli/part-word.js";

test("a part is given as it is", () => {
  assert.equal(readPartWord("2/4", {}), "2/4");
});

test("a task of Slurm's job array is told by its number, where the array begins, and its step", () => {
  const task = (id: string, min: string, count: string, step?: string) =>
    readPartWord("slurm", {
      SLURM_ARRAY_TASK_ID: id,
      SLURM_ARRAY_TASK_MIN: min,
      SLURM_ARRAY_TASK_COUNT: count,
      ...(step === undefined ? {} : { SLURM_ARRAY_TASK_STEP: step }),
    });
  assert.equal(task("1", "1", "4"), "1/4");
  assert.equal(task("3", "0", "4", "1"), "4/4");
  assert.equal(task("15", "5", "3", "5"), "3/3");
});

test("a pod of an Indexed Job is told by its index, from 0", () => {
  assert.equal(readPartWord("kubernetes/8", { JOB_COMPLETION_INDEX: "0" }), "1/8");
});

test("outside of a job the variable that is missing is named", () => {
  const check = (word: string, env: Record<string, string>, name: string) =>
    assert.throws(() => readPartWord(word, env), {
      code: "bad-usage",
      message: `${name} isn't set, so the part can't be read from it.`,
    });
  check("slurm", {}, "SLURM_ARRAY_TASK_ID");
  check("slurm", { SLURM_ARRAY_TASK_ID: "1" }, "SLURM_ARRAY_TASK_MIN");
  check("kubernetes/4", { JOB_COMPLETION_INDEX: "-1" }, "JOB_COMPLETION_INDEX");
});
