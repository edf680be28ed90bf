/** The choice of a kernel, its memory, and its way to another thread. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { isApplyDeltaError } from "../../src/errors.js";
import { compileKernel, instantiateKernel, isSimdSupported, PAGE_BYTES } from "../../src/kernel/select.js";

/** Runs `body` on a machine whose WebAssembly accepts no SIMD. */
async function withoutSimd(body: () => Promise<void>): Promise<void> {
  const { validate } = WebAssembly;
  WebAssembly.validate = () => false;
  try {
    await body();
  } finally {
    WebAssembly.validate = validate;
  }
}

/** What `auto` gives, and what the user reads. */
async function autoKernel(): Promise<{ name: string; said: string[] }> {
  const said: string[] = [];
  const { name } = await compileKernel("auto", { note: (text) => void said.push(text) });
  return { name, said };
}

test("auto is SIMD where there is SIMD", async () => {
  assert.equal(isSimdSupported(), true);
  assert.deepEqual(await autoKernel(), { name: "simd", said: [] });
});

test("auto is the reference where there is no SIMD", () =>
  withoutSimd(async () => {
    assert.deepEqual(await autoKernel(), {
      name: "reference",
      said: ["the slower reference kernel does the work: this machine's WebAssembly has no SIMD."],
    });
  }));

test("auto is the reference where WebAssembly gets no memory, and says so", async (context) => {
  class NoMemory {
    constructor() {
      throw new RangeError("could not allocate memory");
    }
  }
  const { Memory } = WebAssembly;
  Object.assign(WebAssembly, { Memory: NoMemory });
  context.after(() => Object.assign(WebAssembly, { Memory }));
  const { name, said } = await autoKernel();
  assert.equal(name, "reference");
  assert.match(said.join(), /no memory .*`ulimit -v`/);
  await assert.rejects(compileKernel("simd"), (error) => isApplyDeltaError(error, "bad-usage"));
});

test("a thread that gets no memory goes on with the reference", async (context) => {
  const compiled = await compileKernel("auto");
  const { Memory } = WebAssembly;
  Object.assign(WebAssembly, {
    Memory: class {
      constructor() {
        throw new RangeError("could not allocate memory");
      }
    },
  });
  context.after(() => Object.assign(WebAssembly, { Memory }));
  assert.equal(instantiateKernel(compiled, 1).name, "reference");
});

test("SIMD asked for where there is none is an error", () =>
  withoutSimd(() => assert.rejects(compileKernel("simd"), (error) => isApplyDeltaError(error, "bad-usage"))));

test("each kernel is what was asked for", async () => {
  for (const choice of ["simd", "reference"] as const) {
    const compiled = await compileKernel(choice);
    assert.equal(compiled.name, choice);
    assert.equal(instantiateKernel(compiled, 1).name, choice);
  }
});

test("memory is whole pages, zeroed, no more than asked for, and each kernel's own", async () => {
  for (const choice of ["simd", "reference"] as const) {
    const compiled = await compileKernel(choice);
    for (const [asked, given] of [
      [1, PAGE_BYTES],
      [PAGE_BYTES, PAGE_BYTES],
      [3 * PAGE_BYTES + 1, 4 * PAGE_BYTES],
    ] as const) {
      const kernel = instantiateKernel(compiled, asked);
      assert.equal(kernel.memory.length, given);
      assert.equal(kernel.memory.buffer.byteLength, given);
      assert.ok(kernel.memory.every((byte) => byte === 0));
      assert.notEqual(instantiateKernel(compiled, asked).memory.buffer, kernel.memory.buffer);
    }
  }
});

test("a compiled kernel can be posted to another thread", async () => {
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(await compileKernel("simd"));
  const received = await new Promise((resolve) => port2.once("message", resolve));
  port1.close();
  const kernel = instantiateKernel(received as Awaited<ReturnType<typeof compileKernel>>, PAGE_BYTES);
  kernel.memory.set([0x00, 0x3c, 0x00, 0x40]);
  kernel.add("F16", 0, 2, 4, 1);
  assert.deepEqual([...kernel.memory.subarray(4, 6)], [0x00, 0x42]);
});
