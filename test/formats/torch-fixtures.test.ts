/** Files written by PyTorch itself: the right ones give their tensors' bytes, the others the error they are named after. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { isApplyDeltaError } from "../../src/errors.js";
import { denseSpan } from "../../src/tensor.js";
import { fixturePath } from "../support/fixture-path.js";
import { fixtureFile, type MemoryFile } from "../support/memory-file.js";
import { readTorchLegacy, readTorchZip } from "../support/readers.js";
import { gather } from "../support/torch-samples.js";

interface ExpectedTensor {
  name: string;
  dtype: string;
  shape: number[];
  data: string;
}

const read = (name: string, file: MemoryFile) =>
  name.startsWith("legacy-") ? readTorchLegacy(file) : readTorchZip(file);

/** Written by PyTorch 1.13, 2.15 and 2.8. */
for (const folder of ["torch", "torch2", "torch28"]) {
  const expected = JSON.parse(fixtureFile(`${folder}/expected.json`).bytes.toString("utf8")) as Record<
    string,
    ExpectedTensor[]
  >;

  for (const [name, tensors] of Object.entries(expected)) {
    test(`${folder}/${name} gives its tensors in order, byte for byte`, async () => {
      const views = await read(name, fixtureFile(`${folder}/${name}`));
      const got = views.map((view) => ({
        name: view.name,
        dtype: view.dtype,
        shape: view.shape,
        data: gather(view).toString("base64"),
      }));
      assert.deepEqual(got, tensors);
    });
  }

  test(`every fixture of ${folder} is expected`, () => {
    const files = readdirSync(fixturePath(folder)).filter((name) => /\.(bin|pt)$/.test(name));
    assert.deepEqual(files.sort(), Object.keys(expected).sort());
  });
}

for (const name of readdirSync(new URL("../../../test/fixtures/torch/refused/", import.meta.url))) {
  test(`refused/${name}`, async () => {
    const error = await readTorchZip(fixtureFile(`torch/refused/${name}`)).catch((caught: unknown) => caught);
    assert.ok(isApplyDeltaError(error), String(error));
    assert.ok(name.startsWith(error.code), `${error.code} for ${name}`);
    assert.equal(error.details.file, `torch/refused/${name}`);
  });
}

test("views share their storage instead of copying it", async () => {
  const views = await readTorchZip(fixtureFile("torch/views.bin"));
  const view = (name: string) => views.find((candidate) => candidate.name === name)?.pieces[0];
  assert.equal(view("transposed")?.offsetBytes, view("whole")?.offsetBytes);
  assert.equal(view("row")?.offsetBytes, (view("whole")?.offsetBytes ?? 0) + 2 * 6 * 2);
  assert.deepEqual(view("transposed")?.strides, [1, 6]);
  assert.deepEqual(view("expanded")?.strides, [0, 0]);
  const dense = views.filter((each) => denseSpan(each) !== null).map(({ name }) => name);
  assert.deepEqual(dense, ["whole", "row", "scalar", "empty_past_the_end", "reshaped"]);
});

test("a foreign global is named, with what to do", async () => {
  const file = fixtureFile("torch/refused/pickle-global-whole-module.pt");
  await assert.rejects(readTorchZip(file), (error) => {
    assert.ok(isApplyDeltaError(error, "pickle-global"));
    assert.match(error.message, /torch\.nn\.modules\.linear\.Linear/);
    assert.match(error.details.hint ?? "", /^Nothing in the file was run/);
    return true;
  });
});

test("only the directory, data.pkl and the local headers in use are read", async () => {
  const zip = fixtureFile("torch/plain-f16.bin");
  const views = await readTorchZip(zip);
  // Tail, end of the directory, data.pkl's local header, data.pkl, then one local header for each storage.
  assert.equal(zip.reads, 4 + views.length);
});
