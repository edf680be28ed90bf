/** The safetensors reader: golden files of the reference library, and headers that are unusual and right. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { bitsOf, denseSpan, elementCount } from "../../src/tensor.js";
import { fixturePath } from "../support/fixture-path.js";
import { fixtureFile } from "../support/memory-file.js";
import { readSafetensors } from "../support/readers.js";
import { expectedFiles } from "../support/safetensors-fixtures.js";

import { entry, file, one, ranged } from "../support/safetensors-headers.js";

for (const { fileName, tensors } of expectedFiles()) {
  test(`${fileName} gives its tensors in order, byte for byte`, async () => {
    const source = fixtureFile(`safetensors/${fileName}`);
    const views = await readSafetensors(source);
    const got = views.map((view) => {
      const { name, dtype, shape } = view;
      const { offsetBytes } = denseSpan(view) ?? assert.fail(name);
      const end = offsetBytes + (elementCount(shape) * bitsOf(dtype)) / 8;
      return { name, dtype, shape, data: source.bytes.toString("base64", offsetBytes, end) };
    });
    assert.deepEqual(got, tensors);
    assert.equal(source.reads, 2, "the length and the header, nothing else");
  });
}

test("every fixture is expected", () => {
  const files = readdirSync(fixturePath("safetensors")).filter((name) => name.endsWith(".safetensors"));
  assert.deepEqual(
    files.sort(),
    expectedFiles()
      .map(({ fileName }) => fileName)
      .sort(),
  );
});

test("64 dimensions are read", async () => {
  const [view] = await readSafetensors(file(one({ shape: `[${Array(63).fill(1)},2]` }), Buffer.alloc(4)));
  assert.equal(view?.shape.length, 64);
});

test("ranges may stand in any order, and tensors without elements between them", async () => {
  const views = await readSafetensors(file(ranged([4, 8], [4, 4], [0, 4], [8, 8]), Buffer.alloc(8)));
  assert.deepEqual(
    views.map(({ name }) => name),
    ["c", "b", "a", "d"],
  );
});

test("a header padded with spaces, and one that isn't", async () => {
  for (const padding of ["", " ", "       ", "\n"]) {
    assert.equal((await readSafetensors(file(one() + padding, Buffer.alloc(4)))).length, 1);
  }
});

test("metadata that is null, and fields that the format doesn't know, are passed over", async () => {
  const more = ',"device":"cpu","__proto__":{"a":[1.5,{}]},"large":123456789012345678901234567890';
  const header = `{"__metadata__":null,"t":${entry({ more })}}`;
  const [view] = await readSafetensors(file(header, Buffer.alloc(4)));
  assert.deepEqual([view?.name, view?.dtype, view?.shape], ["t", "F16", [2]]);
});
