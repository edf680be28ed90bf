/** A target made in parts: the very files of a single run, whoever comes last, whatever fails on the way. */
import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { PartSummary } from "../../src/apply/documents.js";
import { takeLock } from "../../src/files/lock.js";
import { type ApplyPartOptions, applyDelta, applyPart, finishParts, verifyTarget } from "../../src/index.js";
import { silentReporter } from "../../src/progress.js";
import { partJournal, partLock } from "../../src/target/target.js";
import { contents } from "../faults/small-merge.js";
import { projectPath } from "../support/fixture-path.js";
import { temporaryFolder, tinyPair, writeModel } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";

/** What a single run makes. */
let expected: Promise<ReturnType<typeof contents>> | undefined;

function place(context: TestContext) {
  const root = realpathSync(temporaryFolder(context));
  const pair = tinyPair(3);
  const options = {
    base: writeModel(join(root, "base"), pair.base, { shards: 2 }),
    delta: writeModel(join(root, "delta"), pair.delta, { format: "torch" }),
    maxShardBytes: 20_000,
  };
  const target = join(root, "made");
  const part = (text: string, more: Partial<ApplyPartOptions> = {}) =>
    applyPart({ ...options, target, part: text, ...more });
  const single = () => {
    const made = join(root, "single", "made");
    expected ??= applyDelta({ ...options, target: made }).then(() => contents(made));
    return expected;
  };
  return { root, target, options, part, single, folder: `${target}.incomplete` };
}

type Place = ReturnType<typeof place>;

const all = (count: number) => Array.from({ length: count }, (_, i) => `${i + 1}/${count}`);

async function assertComplete({ target, folder, single }: Place): Promise<void> {
  assert.deepEqual(contents(target), await single());
  assert.equal(existsSync(folder), false);
  assert.deepEqual(
    readdirSync(target).filter((name) => name.startsWith(".")),
    [],
  );
}

for (const count of [1, 2, 3, 7]) {
  test(`${count} parts at once make what a single run makes, and one completes it`, async (context) => {
    const here = place(context);
    const summaries = await Promise.all(all(count).map((text) => here.part(text)));
    const completed = summaries.filter(({ merge }) => merge !== null);
    assert.equal(completed.length, 1);
    const made = summaries.flatMap(({ shards }) => shards);
    assert.equal(new Set(made).size, made.length);
    assert.equal(made.length, summaries[0]?.shardsTotal);
    await assertComplete(here);
  });
}

test("parts one after another: the last completes the target, and counts every element", async (context) => {
  const here = place(context);
  const summaries: PartSummary[] = [];
  for (const text of ["3/3", "1/3", "2/3"]) summaries.push(await here.part(text));
  assert.deepEqual(
    summaries.map(({ published }) => published),
    [false, false, true],
  );
  const whole = await applyDelta({ ...here.options, target: join(here.root, "again") });
  assert.deepEqual(summaries[2]?.merge?.counted, whole.counted);
  await assertComplete(here);
});

test("a part that is run again makes nothing again", async (context) => {
  const here = place(context);
  const first = await here.part("1/2");
  const again = await here.part("1/2");
  assert.ok(first.shards.length > 0);
  assert.deepEqual(again.shards, []);
  assert.equal(again.shardsDone, first.shardsDone);
});

test("a shard that a killed part had begun is made anew", async (context) => {
  const here = place(context);
  const { shards } = await here.part("1/2");
  // Its journal as it was before the first shard was done.
  const journal = join(here.folder, partJournal(1));
  const lines = readFileSync(journal, "utf8").split("\n");
  writeFileSync(journal, `${lines.filter((line) => line.includes('"files"')).join("\n")}\n`);
  assert.deepEqual((await here.part("1/2")).shards, shards);
  await here.part("2/2");
  await assertComplete(here);
});

test("a part that is at work isn't begun a second time", async (context) => {
  const here = place(context);
  await here.part("2/2");
  const lock = await takeLock(here.folder, partLock(1));
  const error = await refusal(() => here.part("1/2"), "target-busy");
  assert.equal(error.exitCode, 75);
  await refusal(() => applyDelta({ ...here.options, target: here.target }), "target-busy");
  lock.release();
  await here.part("1/2");
  await assertComplete(here);
});

test("a run of the whole goes on from the parts that are made", async (context) => {
  const here = place(context);
  const { shards } = await here.part("2/3");
  const summary = await applyDelta({ ...here.options, target: here.target });
  assert.deepEqual(summary.keptShards, shards);
  await assertComplete(here);
});

test("finish completes the target only when every part is made", async (context) => {
  const here = place(context);
  await here.part("1/2", { checksums: true });
  const error = await refusal(() => finishParts({ target: here.target }), "parts-missing");
  assert.equal(error.exitCode, 75);
  // The last part makes its shards, and can't publish: something has come into the target's place.
  const onProgress = () => {
    mkdirSync(here.target, { recursive: true });
    writeFileSync(join(here.target, "notes.txt"), "the user's");
  };
  await refusal(() => here.part("2/2", { checksums: true, onProgress }), "target-exists");
  rmSync(here.target, { recursive: true });
  const summary = await finishParts({ target: here.target });
  assert.deepEqual([summary.published, summary.shardsDone], [true, summary.shardsTotal]);
  assert.ok(existsSync(join(here.target, "SHA256SUMS")));
  assert.equal((await verifyTarget({ target: here.target })).verdict, "ok");
  // Run again by a scheduler.
  assert.equal((await finishParts({ target: here.target })).published, true);
});

const others: Readonly<Record<string, Partial<ApplyPartOptions>>> = {
  "the number of parts": { part: "2/3" },
  options: { dtype: "BF16" },
  checksums: { checksums: true },
  overwrite: { overwrite: true },
};

for (const [what, more] of Object.entries(others)) {
  test(`a part with other options is refused: ${what}`, async (context) => {
    const here = place(context);
    await here.part("1/2");
    const before = contents(here.folder);
    await refusal(() => here.part("2/2", more), "target-differs", { got: new RegExp(what) });
    assert.deepEqual(contents(here.folder), before);
  });
}

test("a part of another base is refused, and so is finishing with it", async (context) => {
  const here = place(context);
  await here.part("1/2");
  const other = tinyPair(4);
  rmSync(here.options.base, { recursive: true });
  writeModel(here.options.base, other.base, { shards: 2 });
  await refusal(() => here.part("2/2", { force: true, skipBaseCheck: true }), "target-differs", {
    got: /base/,
  });
  await refusal(() => finishParts({ target: here.target }), "wrong-base");
});

test("a run of the whole that began there isn't joined", async (context) => {
  const here = place(context);
  await here.part("1/2");
  rmSync(join(here.folder, ".vicuna-apply-delta"));
  writeFileSync(join(here.folder, ".vicuna-apply-delta"), '{"fingerprint":{}}\n');
  await refusal(() => here.part("2/2"), "target-differs", { message: /whole target/ });
});

for (const [option, more] of Object.entries({
  "--restart": { restart: true },
  "--no-sync": { sync: false },
})) {
  test(`${option} doesn't go with a part`, async (context) => {
    await refusal(() => place(context).part("1/2", more), "bad-usage", { message: new RegExp(option) });
  });
}

test("a GGUF in parts is that of a single run", async (context) => {
  const root = temporaryFolder(context);
  const sides = { base: projectPath("examples/tiny/base"), delta: projectPath("examples/tiny/delta") };
  const options = { ...sides, maxShardBytes: 200_000 };
  const made = async (folder: string, parts: readonly string[]) => {
    mkdirSync(join(root, folder));
    const call = { ...options, target: join(root, folder, "made.gguf") };
    if (parts.length === 0) await applyDelta(call);
    const summaries = [];
    for (const part of parts) summaries.push(await applyPart({ ...call, part }));
    return { files: contents(join(root, folder)), summaries, target: call.target };
  };
  const { files, summaries, target } = await made("in-parts", ["2/2", "1/2", "2/2"]);
  assert.deepEqual(files, (await made("whole", [])).files);
  assert.ok((files?.size ?? 0) > 2);
  assert.deepEqual(
    summaries.map(({ published }) => published),
    [false, true, true],
  );
  assert.equal((await finishParts({ target })).published, true);
});

test("there is nothing to finish where nothing was begun", async (context) => {
  await refusal(() => finishParts({ target: place(context).target }), "source-not-found");
});

test("a part that finds the lock of a run that it can't see says that it looks for a minute", async (context) => {
  const { part, folder } = place(context);
  const holder = { pid: 1, host: "elsewhere", place: "elsewhere", started: null, thread: 0, id: "0" };
  mkdirSync(folder);
  writeFileSync(join(folder, partLock(1)), JSON.stringify(holder));
  const stop = new AbortController();
  const notes: string[] = [];
  const note = (text: string) => {
    notes.push(text);
    if (text.includes("locked")) stop.abort();
  };
  const reporter = { ...silentReporter, note };
  await assert.rejects(part("1/2", { reporter, signal: stop.signal }), { code: "interrupted" });
  assert.match(notes.join("\n"), /locked, perhaps by a dead run elsewhere: looking for a minute/);
});
