/** Merges into a GGUF, tensor by tensor against llama.cpp's own converter (fixtures/gguf/make_tensors.py). */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { type ApplyDeltaOptions, applyDelta, type MergeSummary } from "../../src/index.js";
import { fixturePath } from "../support/fixture-path.js";
import { readGgufFile, SOURCES, tinyGguf } from "../support/gguf-target.js";
import { temporaryFolder } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";

type Described = Readonly<
  Record<string, readonly [dtype: string, extents: readonly number[], sha256: string]>
>;

const CONVERTED = JSON.parse(readFileSync(fixturePath("gguf/tensors.json"), "utf8")) as Record<
  string,
  Described
>;

async function describeTensors(...paths: string[]): Promise<Described> {
  const found: Record<string, Described[string]> = {};
  for (const path of paths) {
    for (const { name, dtype, shape, data } of (await readGgufFile(path)).tensors)
      found[name] = [dtype, shape.toReversed(), createHash("sha256").update(data).digest("hex")];
  }
  return found;
}

describe("a GGUF has the converter's tensors, in every bit", { concurrency: 2 }, () => {
  for (const [dtype, kernel] of [
    ["F32", "simd"],
    ["F16", "simd"],
    ["BF16", "simd"],
    ["Q8_0", "simd"],
    ["Q8_0", "reference"],
    ["Q4_0", "simd"],
    ["Q4_0", "reference"],
  ] as const) {
    test(`${dtype}, ${kernel} kernel`, async (context) => {
      const path = await tinyGguf(context, { dtype, kernel });
      assert.deepEqual(await describeTensors(path), CONVERTED[dtype.toLowerCase()]);
    });
  }

  test("auto is the dtype of the first matrix of 16 bits", async (context) => {
    assert.deepEqual(await describeTensors(await tinyGguf(context)), CONVERTED.f16);
  });

  test("in parts, as gguf-py names and fills them", async (context) => {
    const target = await tinyGguf(context, { dtype: "Q8_0", maxShardBytes: 100_000 });
    const names = readdirSync(dirname(target)).sort();
    const of = names.length;
    assert.deepEqual(
      names,
      names.map((_, i) => `vicuna-0000${i + 1}-of-0000${of}.gguf`),
    );
    const paths = names.map((name) => join(dirname(target), name));
    assert.deepEqual(await describeTensors(...paths), CONVERTED.q8_0);
    for (const [i, path] of paths.entries()) {
      const { keys, tensors } = await readGgufFile(path);
      const findValue = (key: string) => keys.find((entry) => entry.key === key)?.value;
      assert.deepEqual(
        [findValue("split.no"), findValue("split.count"), findValue("split.tensors.count")],
        [i, of, 39],
      );
      assert.equal(findValue("general.architecture"), i === 0 ? "llama" : undefined);
      assert.ok(tensors.length > 0 && tensors.reduce((sum, { data }) => sum + data.length, 0) <= 100_000);
    }
  });
});

test("a folder holds the GGUF under the name ggml's convention gives it, the card and nothing else", async (context) => {
  const target = await tinyGguf(context, {
    target: "vicuna-tiny",
    format: "gguf",
    dtype: "Q4_0",
    checksums: true,
  });
  assert.deepEqual(readdirSync(target).sort(), ["README.md", "SHA256SUMS", "vicuna-tiny-Q4_0.gguf"]);
});

test("a file appears alone, with its checksums beside it where they are asked for", async (context) => {
  const target = await tinyGguf(context, { checksums: true, verify: true });
  assert.deepEqual(readdirSync(dirname(target)).sort(), ["vicuna.gguf", "vicuna.gguf.sha256"]);
  const digest = createHash("sha256").update(readFileSync(target)).digest("hex");
  assert.equal(readFileSync(`${target}.sha256`, "utf8"), `${digest}  vicuna.gguf\n`);
});

test("the same merge again leaves the file alone; another is refused unless it may overwrite", async (context) => {
  const target = await tinyGguf(context);
  const again = (more: Partial<ApplyDeltaOptions>): Promise<MergeSummary> =>
    applyDelta({ ...SOURCES, target, sync: false, ...more });
  const before = readFileSync(target);
  assert.equal((await again({})).alreadyMade, true);
  await refusal(() => again({ dtype: "Q8_0" }), "target-exists", { file: target, hint: /--overwrite/ });
  assert.deepEqual(readFileSync(target), before);
  assert.equal((await again({ dtype: "Q8_0", overwrite: true })).alreadyMade, false);
  assert.deepEqual(await describeTensors(target), CONVERTED.q8_0);
  assert.ok(!existsSync(`${target}.incomplete`));
});

describe("refused before the first byte", { concurrency: 2 }, () => {
  const refused = async (
    context: TestContext,
    options: Partial<ApplyDeltaOptions>,
    ...expected: [Parameters<typeof refusal>[1], Parameters<typeof refusal>[2]]
  ) => {
    const root = temporaryFolder(context);
    const target = join(root, options.target ?? "x.gguf");
    await refusal(() => applyDelta({ ...SOURCES, ...options, target }), ...expected);
    assert.deepEqual(readdirSync(root), []);
  };

  test("a file of another format", (context) =>
    refused(context, { format: "bin" }, "bad-usage", { got: "--format bin" }));
  test("a quantized folder", (context) =>
    refused(context, { target: "x", dtype: "Q8_0" }, "bad-usage", { hint: /--format gguf|x\.gguf/ }));

  for (const side of ["base", "delta"] as const) {
    test(`a GGUF as the ${side}`, async (context) => {
      const gguf = await tinyGguf(context);
      await refused(context, { [side]: gguf }, "foreign-format", { file: gguf, message: /GGUF/ });
    });
  }

  test("a folder in the file's place", async (context) => {
    const target = await tinyGguf(context, { target: "x.gguf/inner.gguf" });
    const call = () => applyDelta({ ...SOURCES, target: dirname(target) });
    await refusal(call, "target-exists", { file: dirname(target), message: /folder/ });
  });

  test("checksums of something else in the way", async (context) => {
    const root = temporaryFolder(context);
    writeFileSync(join(root, "x.gguf.sha256"), "mine");
    const call = () => applyDelta({ ...SOURCES, target: join(root, "x.gguf"), checksums: true });
    await refusal(call, "target-exists", { file: join(root, "x.gguf.sha256") });
    assert.deepEqual(readdirSync(root), ["x.gguf.sha256"]);
  });
});
