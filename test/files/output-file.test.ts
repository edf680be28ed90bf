/**
 * Writing a shard: past the page cache and through it, the same bytes at every offset and length, and nothing beside
 * them touched.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  closeShardFile,
  createShardFile,
  type ShardFile,
  writeSegment,
} from "../../src/files/output-file.js";
import { compileKernel, instantiateKernel } from "../../src/kernel/select.js";
import { temporaryFolder } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";

const PAGE = 4096;
const DURABLE = { isDurable: true };

const FILE_BYTES = 20 * PAGE + 123;
const REGION = 16 * PAGE;

const OFFSETS = [0, 1, 8, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE - 8, 3 * PAGE];
const LENGTHS = [0, 1, 7, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE - 1, 2 * PAGE, 5 * PAGE + 17, 8 * PAGE];

const WAYS: readonly [string, (file: ShardFile) => ShardFile][] = [
  ["past the cache where the file system can", (file) => file],
  ["through the cache", (file) => ({ ...file, directFd: null })],
];

for (const [name, way] of WAYS) {
  test(`${name}: every offset and length`, async (context) => {
    const folder = temporaryFolder(context);
    const { memory } = instantiateKernel(await compileKernel("auto"), 2 * REGION);
    for (const offsetBytes of OFFSETS) {
      for (const length of LENGTHS) {
        for (let i = 0; i < REGION; i++) memory[REGION + i] = (i * 31 + length) & 0xff;
        const bytes = Buffer.from(memory.slice(REGION, REGION + length));
        const file = createShardFile(join(folder, `${offsetBytes}-${length}`), FILE_BYTES, [], DURABLE);
        await writeSegment(way(file), memory, REGION, length, offsetBytes);
        closeShardFile(file);
        const expected = Buffer.alloc(FILE_BYTES);
        bytes.copy(expected, offsetBytes);
        assert.ok(readFileSync(file.path).equals(expected), `${length} bytes at ${offsetBytes}`);
      }
    }
  });
}

test("neighbours that share a page keep their bytes, in whatever order they are written", async (context) => {
  const { memory } = instantiateKernel(await compileKernel("auto"), 2 * REGION);
  const cuts = [0, 100, PAGE * 2 + 300, PAGE * 2 + 308, PAGE * 7 + 1, FILE_BYTES];
  const parts = cuts.slice(1).map((end, i) => ({ start: cuts[i] ?? 0, end }));
  const expected = Buffer.alloc(FILE_BYTES);
  for (const [i, { start, end }] of parts.entries()) expected.fill(i + 1, start, end);
  for (const order of [parts, [...parts].reverse()]) {
    const file = createShardFile(join(temporaryFolder(context), "shard"), FILE_BYTES, [], DURABLE);
    for (const { start, end } of order) {
      memory.fill(expected[start] ?? 0, 0, end - start);
      await writeSegment(file, memory, 0, end - start, start);
    }
    closeShardFile(file);
    assert.ok(readFileSync(file.path).equals(expected));
  }
});

test("the file has its final length and its pieces from the start, and isn't made twice", async (context) => {
  const path = join(temporaryFolder(context), "shard");
  const pieces = [
    { offsetBytes: 0, bytes: Buffer.from("head") },
    { offsetBytes: 96, bytes: Buffer.from("tail") },
  ];
  const file = createShardFile(path, 100, pieces, DURABLE);
  assert.equal(readFileSync(path).toString("latin1"), `head${"\0".repeat(92)}tail`);
  await refusal(() => createShardFile(path, 100, [], DURABLE), "target-unwritable", { file: path });
  closeShardFile(file);
});
