/** What a delta can't give back: counted and named, and with --exact refused with nothing left behind. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { isApplyDeltaError } from "../../src/errors.js";
import { type MakeDeltaOptions, makeDelta } from "../../src/make/make-delta.js";
import { silentReporter } from "../../src/progress.js";
import { floats, listing, type Tensor, withTensor } from "../support/model-folder.js";
import { runCli } from "../support/run-cli.js";
import { made, place, tunedPair } from "../support/tuned-pair.js";

const EMBED = "model.embed_tokens.weight";
const NORM = "model.norm.weight";

/** The tensors with other numbers at the start of two of them. */
function withStarts(
  tensors: readonly Tensor[],
  starts: Readonly<Record<string, readonly number[]>>,
): Tensor[] {
  const start = (tensor: Tensor, values: readonly number[]): Tensor => {
    const head = floats("", "F16", [values.length], values).bytes;
    return { ...tensor, bytes: Buffer.concat([head, tensor.bytes.subarray(head.length)]) };
  };
  return Object.entries(starts).reduce(
    (all, [name, values]) => withTensor(all, name, (tensor) => start(tensor, values)),
    [...tensors],
  );
}

/** Two elements that rounding loses and a zero that loses its sign, in two tensors. */
function lossyPair() {
  const { base, tuned } = tunedPair("F16");
  return {
    base: withStarts(base, { [EMBED]: [1, 4096], [NORM]: [2048, 1] }),
    tuned: withStarts(tuned, { [EMBED]: [-0, 1.0009765625], [NORM]: [1.0009765625, 1] }),
  };
}

describe("what can't come back", { concurrency: 3 }, () => {
  test("is counted and named, and the delta is made", async (context) => {
    const { root, make } = place(context, lossyPair());
    const { restores } = made(await make());
    assert.deepEqual(restores, {
      isExact: false,
      elements: 24_736,
      lost: 3,
      zeroSigns: 1,
      tensors: 2,
      listed: [
        { tensor: EMBED, elements: 2, zeroSigns: 1, first: 0 },
        { tensor: NORM, elements: 1, zeroSigns: 0, first: 0 },
      ],
    });
    assert.match(
      readFileSync(join(root, "delta", "README.md"), "utf8"),
      /^- way back: .* but for rounding: 3 of 24,736 elements differ, 1 of them only the sign of a zero$/m,
    );
  });

  test("--exact: exit 7, and nothing is left behind", async (context) => {
    const { root, make } = place(context, lossyPair());
    const before = listing(root);
    const { code, stdout, stderr } = await make("--exact");
    assert.equal(code, 7);
    const { error } = JSON.parse(stdout) as { error: { code: string; tensor: string; got: string } };
    assert.deepEqual({ code: error.code, tensor: error.tensor }, { code: "not-restorable", tensor: EMBED });
    assert.match(error.got, /^3 of 24,736 elements that differ/);
    assert.match(stderr, /^error: The delta can't give its model back bit for bit\.$/m);
    assert.deepEqual(listing(root), before);
  });

  test("--exact --overwrite: the folder that was there stays", async (context) => {
    const { root, make } = place(context, lossyPair());
    made(await make());
    const before = listing(root);
    assert.equal((await make("--exact", "--overwrite")).code, 7);
    assert.deepEqual(listing(root), before);
  });

  test("is known of shards that an interrupted run had finished, too", async (context) => {
    const { root } = place(context, lossyPair());
    const path = (name: string) => join(root, name);
    const options: MakeDeltaOptions = { base: path("base"), tuned: path("tuned"), delta: path("delta") };
    const controller = new AbortController();
    const interrupted = makeDelta({
      ...options,
      maxShardBytes: 10_000,
      signal: controller.signal,
      reporter: {
        ...silentReporter,
        progress: ({ bytesDone, bytesTotal }) => {
          if (bytesDone === bytesTotal) controller.abort();
        },
      },
    });
    await assert.rejects(interrupted, (error) => isApplyDeltaError(error, "interrupted"));
    const { keptShards, shards, restores } = await makeDelta({ ...options, maxShardBytes: 10_000 });
    assert.deepEqual([...keptShards].sort(), shards.map(({ file }) => file).sort());
    assert.equal(restores.lost, 3);
    assert.deepEqual(
      restores.listed.map(({ tensor }) => tensor),
      [EMBED, NORM],
    );
  });

  test("the summary for people, by FastChat's option names", async (context) => {
    const { root } = place(context, lossyPair());
    const { code, stdout } = await runCli(
      ["make", "--base-model-path", "base", "--target-model-path", "tuned", "--delta-path", "delta"],
      { cwd: root },
    );
    assert.equal(code, 0);
    const lines = stdout.split("\n");
    assert.equal(lines[0], join(root, "delta"));
    assert.equal(lines[1], "  tensors   21 subtracted");
    assert.match(lines[3] ?? "", /^ {2}change {4}[\d.]+% of the base's weights \(rms\)$/);
    assert.match(lines[4] ?? "", /^ {2}way back {2}rounded: 3 of/);
    assert.equal(lines[5], `            ${EMBED}: 2 elements, the first at position 0`);
    assert.equal(lines[6], `            ${NORM}: 1 element, the first at position 0`);
    assert.match(lines[7] ?? "", /^ {2}took /);
  });
});
