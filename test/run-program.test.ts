/** What stands between a program and its caller: the signal, and callbacks that may do anything. */
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import * as z from "zod";
import type { CallOptions } from "../src/options.js";
import type { Activity, ProgressUpdate, Reporter } from "../src/progress.js";
import { runProgram } from "../src/run-program.js";

interface Given {
  readonly signal: AbortSignal;
  readonly reporter: Reporter;
}

const run = <T>(options: CallOptions, program: (given: Given) => Promise<T>) =>
  runProgram(options, z.strictObject({ name: z.string().optional() }), program);

const update = (bytesDone: number, activity: Activity = "downloading"): ProgressUpdate => {
  return { activity, bytesDone, bytesTotal: 10, current: "a" };
};

test("progress never falls, each activity by itself", async () => {
  const seen: string[] = [];
  const onProgress = ({ activity, bytesDone }: ProgressUpdate) => void seen.push(`${activity} ${bytesDone}`);
  await run({ onProgress }, async ({ reporter }) => {
    for (const bytesDone of [0, 7, 2, 8]) reporter.progress(update(bytesDone));
    reporter.progress(update(1, "merging"));
  });
  assert.deepEqual(seen, ["downloading 0", "downloading 7", "downloading 7", "downloading 8", "merging 1"]);
});

test("what a callback throws to a timer reaches the caller, and stops the program", async () => {
  const boom = new Error("boom");
  let calls = 0;
  const options = {
    onProgress: () => {
      calls++;
      throw boom;
    },
  };
  const promise = run(options, async ({ reporter, signal }) => {
    const timer = setInterval(() => reporter.progress(update(1)), 1);
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    await new Promise((resolve) => setTimeout(resolve, 10));
    clearInterval(timer);
    throw new Error("stopped");
  });
  await assert.rejects(promise, (error) => error === boom);
  assert.equal(calls, 1, "a callback that threw isn't called again");
});

test("what a callback throws comes out even where the program succeeds", async () => {
  const boom = new Error("boom");
  const warn = () => {
    throw boom;
  };
  const promise = run({ reporter: { warn } }, async ({ reporter }) => reporter.warn("late"));
  await assert.rejects(promise, (error) => error === boom);
});

test("the caller's signal and its reason reach the program, and keep no listener", async () => {
  const controller = new AbortController();
  const reason = new Error("enough");
  const promise = run({ signal: controller.signal }, async ({ signal }) => {
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    return signal.reason as unknown;
  });
  controller.abort(reason);
  assert.equal(await promise, reason);
  assert.equal(getEventListeners(controller.signal, "abort").length, 0);
  assert.equal(await run({ signal: controller.signal }, async ({ signal }) => signal.aborted), true);
});

test("without callbacks everything may be said", async () => {
  const said = await run({}, async ({ reporter }) => {
    reporter.detail("a");
    reporter.note("b");
    reporter.warn("c");
    reporter.progress(update(1));
    reporter.progressDone();
    return "said";
  });
  assert.equal(said, "said");
});

test("what an async callback rejects with stops the program, as what it throws does", async () => {
  const boom = new Error("boom");
  const promise = run({ onProgress: async () => Promise.reject(boom) }, async ({ reporter, signal }) => {
    reporter.progress(update(1));
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
  });
  await assert.rejects(promise, (error) => error === boom);
});

test("an async callback that rejects when all is done harms nobody", async () => {
  let fail: (error: Error) => void = () => {};
  const note = () =>
    new Promise<void>((_, reject) => {
      fail = reject;
    });
  await run({ reporter: { note } }, async ({ reporter }) => reporter.note("late"));
  fail(new Error("boom"));
  await new Promise((resolve) => setImmediate(resolve));
});
