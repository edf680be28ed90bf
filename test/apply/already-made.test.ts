/** A finished merge run again: done already where everything is the same, refused as ever where anything differs. */
import assert from "node:assert/strict";
import { appendFileSync, cpSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { type ApplyDeltaOptions, applyDelta } from "../../src/index.js";
import { copyOf } from "../support/made-once.js";
import { tinyPair, writeModel } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";
import { runCli } from "../support/run-cli.js";
import { PAIR, place } from "../support/tiny-merge.js";

interface Made {
  readonly root: string;
  readonly target: string;
  readonly call: ApplyDeltaOptions;
}

/** Made once with the same options, and copied: the place of the models doesn't matter. */
async function make(context: TestContext, more: Partial<ApplyDeltaOptions> = {}): Promise<Made> {
  const callIn = (root: string) => ({
    base: join(root, "base"),
    delta: join(root, "delta"),
    target: join(root, "target"),
    ...more,
  });
  const root = await copyOf(context, `already made ${JSON.stringify(more)}`, async (folder) => {
    writeModel(join(folder, "base"), PAIR.base);
    writeModel(join(folder, "delta"), PAIR.delta, { format: "torch", shards: 2 });
    assert.equal((await applyDelta(callIn(folder))).alreadyMade, false);
  });
  return { root, target: join(root, "target"), call: callIn(root) };
}

/** Size, time and content of the weights and of the record. */
function stateOf(target: string) {
  return ["model.safetensors", "vicuna-apply-delta.json"].map((name) => {
    const { mtimeNs, ino } = statSync(join(target, name), { bigint: true });
    return [mtimeNs, ino, readFileSync(join(target, name)).toString("base64")];
  });
}

describe("done already", () => {
  test("the same merge: the same summary, and nothing is touched", async (context) => {
    const { target, call } = await make(context, { checksums: true, scale: 0.5 });
    const before = stateOf(target);
    const again = await applyDelta(call);
    assert.deepEqual([again.alreadyMade, again.verified, again.scale], [true, false, 0.5]);
    assert.deepEqual(again.shards, [
      { file: "model.safetensors", bytes: statSync(join(target, "model.safetensors")).size },
    ]);
    assert.deepEqual(stateOf(target), before);
  });

  test("options that change no byte don't matter, nor does the place of the models", async (context) => {
    const { root, call } = await make(context);
    renameSync(join(root, "base"), join(root, "moved"));
    cpSync(join(root, "moved"), join(root, "elsewhere", "base"), { recursive: true });
    const again = await applyDelta({
      ...call,
      base: join(root, "elsewhere", "base"),
      threads: 1,
      kernel: "reference",
      restart: true,
    });
    assert.ok(again.alreadyMade);
    assert.ok(again.counted.sums > 0);
  });

  test("with verify the weights are read and compared; where they were changed that is the error", async (context) => {
    const { target, call } = await make(context);
    const made = await applyDelta({ ...call, verify: true });
    assert.deepEqual([made.alreadyMade, made.verified], [true, true]);
    const path = join(target, "model.safetensors");
    const bytes = readFileSync(path);
    bytes[bytes.length - 3] = (bytes.at(-3) ?? 0) ^ 1;
    writeFileSync(path, bytes);
    assert.ok((await applyDelta(call)).alreadyMade, "data is not read without verify, and not claimed");
    await refusal(() => applyDelta({ ...call, verify: true }), "target-altered", {
      file: target,
      message: /no longer what it was/,
      got: /^sum: /,
      hint: /--overwrite/,
    });
  });

  test("in words: what was compared, and what wasn't", async (context) => {
    const { run } = place(context);
    assert.equal((await run()).code, 0);
    const { code, stdout, stderr } = await run();
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
    assert.match(stdout, /^ {2}done {6}already: .*nothing was written now$/m);
    assert.match(stdout, /^ {2}compared {2}with its record: .*sample, options, version$/m);
    assert.match(stdout, /^ {2}unread {4}the bytes of the weights: `verify` reads them$/m);
    assert.doesNotMatch(stdout, /took/);
    const document = JSON.parse((await run("--json")).stdout) as { alreadyMade: boolean };
    assert.ok(document.alreadyMade);
  });
});

/** What is done to a finished merge before it is asked for again. */
const CHANGES: Readonly<Record<string, (made: Made) => unknown>> = {
  "another dtype": () => ({ dtype: "F32" }),
  "another scale": () => ({ scale: 0.5 }),
  "other rules": () => ({ rules: { newRows: "mean" } }),
  "other shards": () => ({ maxShardBytes: 20_000 }),
  "another format": () => ({ format: "bin" }),
  "a prompt template": () => ({ chatTemplate: "v1.1" }),
  checksums: () => ({ checksums: true }),
  "no base check": () => ({ skipBaseCheck: true }),
  "another base of the same names and shapes": ({ root }) => {
    writeModel(join(root, "base"), tinyPair(7).base);
    return { force: true };
  },
  "a base of another name": ({ root }) => {
    renameSync(join(root, "base"), join(root, "other"));
    return { base: join(root, "other") };
  },
  "a delta with another config": ({ root }) => appendFileSync(join(root, "delta", "config.json"), "\n"),
  "an edited file in the target": ({ target }) => appendFileSync(join(target, "README.md"), "mine"),
  "weights of another length": ({ target }) => appendFileSync(join(target, "model.safetensors"), "x"),
  "a file that is gone": ({ target }) => rmSync(join(target, "config.json")),
  "no record": ({ target }) => rmSync(join(target, "vicuna-apply-delta.json")),
  "a record that was edited": ({ target }) => appendFileSync(join(target, "vicuna-apply-delta.json"), " "),
  "a record of another version": ({ target }) => {
    const path = join(target, "vicuna-apply-delta.json");
    writeFileSync(path, readFileSync(path, "utf8").replace('"version": "', '"version": "9'));
  },
};

describe("refused as ever", () => {
  for (const [what, change] of Object.entries(CHANGES)) {
    test(what, async (context) => {
      const made = await make(context);
      const more = change(made) as Partial<ApplyDeltaOptions> | undefined;
      await refusal(() => applyDelta({ ...made.call, ...more }), "target-exists", { file: made.target });
    });
  }

  test("a base that can't be read any more is its own error; a folder of someone else's is refused", async (context) => {
    const { root, call } = await make(context);
    rmSync(join(root, "base"), { recursive: true });
    await refusal(() => applyDelta(call), "source-not-found", { file: call.base });
    const { code } = await runCli(["-b", "delta", "-d", "delta", "-o", "."], { cwd: root });
    assert.equal(code, 6);
  });
});
