/**
 * A program in TypeScript that uses the package as it is installed from its tarball, by its name, under the strictest
 * settings: what is right compiles, what is wrong doesn't.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { projectPath } from "../support/fixture-path.js";
import { installPackage, skipInstalls } from "../support/installed-package.js";
import { temporaryFolder } from "../support/model-folder.js";

const RIGHT = `
import {
  type ApplyDeltaOptions,
  applyDelta,
  type Comparison,
  compareModels,
  type ErrorCode,
  EXIT,
  inspectModel,
  isApplyDeltaError,
  listReleases,
  makeDelta,
  type MergePlanDocument,
  type MergeSummary,
  planMerge,
  type ProgressUpdate,
  type Reporter,
  type Verification,
  verifyTarget,
} from "vicuna-apply-delta";

const controller = new AbortController();
const reporter: Partial<Reporter> = { warn: (text) => text.length };
const onProgress = ({ activity, bytesDone, bytesTotal }: ProgressUpdate): string =>
  activity === "merging" ? String(bytesDone / bytesTotal) : activity;
const options: ApplyDeltaOptions = {
  base: "llama",
  delta: "owner/delta",
  target: "vicuna",
  dtype: "BF16",
  rules: { newRows: "mean" },
  hub: { token: null, transfer: { connections: 2 } },
  signal: controller.signal,
  onProgress,
  reporter,
};
const plan: MergePlanDocument = await planMerge(options);
const files: readonly string[] = [...plan.shards.map(({ file }) => file), ...plan.files];
const summary: MergeSummary = await applyDelta(options);
const verdict: "exact" | undefined = summary.baseCheck?.verdict === "exact" ? summary.baseCheck.verdict : undefined;
const { restores } = await makeDelta({ base: "a", tuned: "b", delta: "c", exact: true, signal: controller.signal });
const lost: number = restores.listed[0]?.elements ?? 0;
const comparison: Comparison = await compareModels({ a: "a", b: "b", tolerance: 1e-3 });
const at: readonly number[] | null | undefined = comparison.differing[0]?.largestAbsolute?.index;
const verification: Verification = await verifyTarget({ target: "vicuna", sources: { base: "a", delta: "b" } });
const failed = verification.checks.filter(({ status }) => status === "failed").map(({ name }) => name);
const layers: readonly (number | null)[] = (await inspectModel({ model: "a", base: "b" })).change?.parts.map(({ layer }) => layer) ?? [];
const titles: string[] = (await listReleases()).releases.map(({ title }) => title);
try {
  await applyDelta({ base: "a", delta: "b", target: "c" });
} catch (error) {
  if (isApplyDeltaError(error, "interrupted")) {
    const code: "interrupted" = error.code;
    throw new Error(code);
  } else if (isApplyDeltaError(error)) {
    const code: ErrorCode = error.code;
    const { file, hint } = error.details;
    throw new Error([code, file, hint, error.exitCode === EXIT.usage, error.format()].join());
  }
}
export { at, failed, files, layers, lost, titles, verdict };
`;

const WRONG: Readonly<Record<string, string>> = {
  "an option that is none": `await applyDelta({ base: "a", delta: "b", target: "c", treads: 2 });`,
  "a dtype that is none": `await applyDelta({ base: "a", delta: "b", target: "c", dtype: "float16" });`,
  "an option too few": `await applyDelta({ base: "a", delta: "b" });`,
  "a field that is none": `(await planMerge({ base: "a", delta: "b", target: "c" })).plan;`,
  "a code that is none": `isApplyDeltaError(null, "interupted");`,
  "a result that is written to": `(await planMerge({ base: "a", delta: "b", target: "c" })).scale = 2;`,
};

/** Compiles a file beside an installed package; gives what the compiler says. */
async function compile(
  context: TestContext,
  source: string,
  { types, lib }: { readonly types: readonly string[]; readonly lib?: readonly string[] },
): Promise<string> {
  const folder = temporaryFolder(context);
  mkdirSync(join(folder, "node_modules", "@types"), { recursive: true });
  const { prefix } = await installPackage();
  const library = join(prefix, "lib/node_modules/vicuna-apply-delta");
  symlinkSync(library, join(folder, "node_modules", "vicuna-apply-delta"), "junction");
  for (const name of types) {
    const installed = projectPath(`node_modules/@types/${name}`);
    symlinkSync(installed, join(folder, "node_modules", "@types", name), "junction");
  }
  writeFileSync(join(folder, "package.json"), `{ "type": "module" }`);
  writeFileSync(join(folder, "consumer.ts"), source);
  const compilerOptions = {
    strict: true,
    module: "nodenext",
    target: "es2022",
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    verbatimModuleSyntax: true,
    skipLibCheck: false,
    noEmit: true,
    types,
    ...(lib === undefined ? {} : { lib }),
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["consumer.ts"] }));
  const tsc = projectPath("node_modules/typescript/bin/tsc");
  try {
    return (await promisify(execFile)(process.execPath, [tsc, "-p", "."], { cwd: folder })).stdout;
  } catch (error) {
    return (error as { stdout: string }).stdout;
  }
}

const options = { skip: skipInstalls };
test("what is right compiles with Node's types alone, without a browser's", options, async (context) => {
  assert.equal(await compile(context, RIGHT, { types: ["node"], lib: ["es2023"] }), "");
});

test("what is right compiles without any types but TypeScript's own", options, async (context) => {
  assert.equal(await compile(context, RIGHT, { types: [] }), "");
});

test("what is wrong doesn't, line by line", options, async (context) => {
  const imports = `import { applyDelta, isApplyDeltaError, planMerge } from "vicuna-apply-delta";`;
  const said = await compile(context, [imports, ...Object.values(WRONG)].join("\n"), { types: ["node"] });
  const lines = new Set([...said.matchAll(/^consumer\.ts\((\d+),/gm)].map((match) => Number(match[1])));
  for (const [i, what] of Object.keys(WRONG).entries()) assert.ok(lines.has(i + 2), `${what}: ${said}`);
  assert.deepEqual(
    [...said.matchAll(/^(\S+\.ts)\(/gm)].filter(([, file]) => file !== "consumer.ts"),
    [],
  );
});
