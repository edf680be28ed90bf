/** `--verify-base`: the checklist that comes with Meta's files; and that it is named where one of them looks damaged. */
import assert from "node:assert/strict";
import { openSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { applyDelta, planMerge } from "../../src/apply/apply-delta.js";
import { type MetaSides, sidesOf } from "../support/meta-sides.js";
import { refusal } from "../support/refusal.js";

interface Run extends MetaSides {
  readonly said: string[];
  plan(base?: string): Promise<unknown>;
}

function runOf(context: TestContext): Run {
  const sides = sidesOf(context, "files-2", "files");
  const said: string[] = [];
  const say = (text: string) => void said.push(text);
  const reporter = { detail: () => {}, note: say, warn: say, progress: () => {}, progressDone: () => {} };
  const target = join(sides.root, "target");
  return {
    ...sides,
    said,
    plan: (base = sides.meta) => planMerge({ base, delta: sides.delta, target, verifyBase: true, reporter }),
  };
}

const CHECKLIST = "checklist.chk";
const SECOND = "consolidated.01.pth";

/** Overwrites some bytes in the middle of a file. */
function spoil(path: string, bytes: Buffer): void {
  writeSync(openSync(path, "r+"), bytes, 0, bytes.length, Math.floor(readFileSync(path).length / 2));
}

test("files that are as they were given out", async (context) => {
  const { plan, said } = runOf(context);
  await plan();
  assert.match(said.join("\n"), /the base's 3 files have the checksums of checklist\.chk/);
});

test("a byte of the weights is another", async (context) => {
  const { meta, plan } = runOf(context);
  spoil(join(meta, SECOND), Buffer.from([1]));
  await refusal(plan, "base-altered", {
    file: join(meta, SECOND),
    expected: /^MD5 [0-9a-f]{32}$/,
    got: /^MD5 [0-9a-f]{32}$/,
  });
});

test("params.json is another", async (context) => {
  const { meta, plan } = runOf(context);
  writeFileSync(join(meta, "params.json"), `${readFileSync(join(meta, "params.json"), "utf8")}\n`);
  await refusal(plan, "base-altered", { file: join(meta, "params.json") });
});

for (const [title, change, details] of [
  ["a line is no checksum", (text) => `${text}nothing\n`, { file: /checklist\.chk$/, got: "nothing" }],
  [
    "a line leads elsewhere",
    (text) => `${text}${"0".repeat(32)}  ../x\n`,
    { file: /checklist\.chk$/, got: /\.\.\/x$/ },
  ],
  ["a file isn't in it", (text) => text.replace(/^.*01\.pth\n/m, ""), { file: /01\.pth$/, got: /^none/ }],
] as [string, (text: string) => string, object][]) {
  test(`a checklist where ${title}`, async (context) => {
    const { meta, plan } = runOf(context);
    const path = join(meta, CHECKLIST);
    writeFileSync(path, change(readFileSync(path, "utf8")));
    await refusal(plan, "base-altered", details);
  });
}

test("a base without one: a warning", async (context) => {
  const { meta, base, plan, said } = runOf(context);
  rmSync(join(meta, CHECKLIST));
  await plan();
  await plan(base);
  assert.equal(said.filter((text) => /can't be verified/.test(text)).length, 2);
});

test("weights that look damaged: the hint names it", async (context) => {
  const { root, meta, delta } = runOf(context);
  spoil(join(meta, SECOND), Buffer.alloc(6000));
  await refusal(() => applyDelta({ base: meta, delta, target: join(root, "target") }), "damaged-weights", {
    file: join(meta, SECOND),
    hint: /add --verify-base: `md5sum -c checklist\.chk`/,
  });
});
