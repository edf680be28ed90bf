/** The writer of PyTorch files: those of torch.save itself, byte for byte; read back; as other readers see them. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { joinCrc32 } from "../../src/files/crc32.js";
import type { LayoutEntry } from "../../src/formats/format.js";
import { layOutTorchZip } from "../../src/formats/torch/zip-writer.js";
import { onePiece } from "../../src/tensor.js";
import { fixturePath } from "../support/fixture-path.js";
import { memoryFile } from "../support/memory-file.js";
import { readTorchZip } from "../support/readers.js";
import { gather } from "../support/torch-samples.js";
import { wholeShard } from "../support/whole-shard.js";
import { readZipRecords } from "../support/zip-records.js";

const fixture = (name: string) => readFileSync(fixturePath(`torch/${name}`));

interface SavedTensor extends LayoutEntry {
  /** Base64. */
  readonly data: string;
}
const saved = JSON.parse(fixture("expected.json").toString("utf8")) as Record<string, SavedTensor[]>;

const SAVED = [
  "plain-f16.bin",
  "plain-bf16.bin",
  "plain-f32.bin",
  "odd-shapes.bin",
  "odd-names.bin",
  "empty.bin",
];

for (const name of SAVED) {
  test(`${name} of torch.save, byte for byte`, () => {
    const tensors = saved[name] ?? [];
    const layout = layOutTorchZip(name, tensors);
    const dataOf = (place: number) => Buffer.from(layout.placed[place]?.tensor.data ?? "", "base64");
    assert.ok(wholeShard(layout, dataOf).equals(fixture(name)));
  });
}

interface SavedLayout {
  /** A number: as many as `many` makes. */
  readonly tensors: LayoutEntry[] | number;
  readonly byteLength: number;
  readonly pieces: number;
  readonly sha256: string;
}
/** As make_layouts.py makes them. */
function many(count: number): LayoutEntry[] {
  const dtypes = ["F16", "BF16", "F32"] as const;
  return Array.from({ length: count }, (_, i) => ({
    name: `t.${i}`,
    dtype: dtypes[i % 3] ?? "F32",
    shape: [1 + (i % 5)],
  }));
}

const layouts = JSON.parse(fixture("layouts.json").toString("utf8")) as Record<string, SavedLayout>;

/** The checksum of zeros: runs of 1, 2, 4, … of them, joined. */
function crc32OfZeros(byteLength: number): number {
  let [sum, run] = [0, crc32(new Uint8Array(1))];
  for (let left = byteLength, size = 1; left > 0; left = Math.floor(left / 2), size *= 2) {
    if (left % 2 === 1) sum = joinCrc32(sum, run, size);
    run = joinCrc32(run, run, size);
  }
  return sum;
}

for (const [title, { tensors, byteLength, pieces, sha256 }] of Object.entries(layouts)) {
  test(`what torch.save writes around its tensors: ${title}`, () => {
    const layout = layOutTorchZip("archive.bin", typeof tensors === "number" ? many(tensors) : tensors);
    assert.equal(layout.byteLength, byteLength);
    const checksums = new Map(
      layout.placed.flatMap((place) => place.checksumAt.map((at) => [at, crc32OfZeros(place.byteLength)])),
    );
    const digest = createHash("sha256");
    for (const { offsetBytes, bytes } of layout.pieces) {
      const piece = Buffer.from(bytes);
      for (const [at, checksum] of checksums) {
        if (at >= offsetBytes && at < offsetBytes + piece.length) {
          piece.writeUInt32LE(checksum, at - offsetBytes);
          checksums.delete(at);
        }
      }
      const offset = Buffer.alloc(8);
      offset.writeBigUInt64LE(BigInt(offsetBytes));
      digest.update(offset).update(piece);
    }
    assert.equal(checksums.size, 0, "every checksum has its place in a piece");
    assert.equal(layout.pieces.length, pieces);
    assert.equal(digest.digest("hex"), sha256);
  });
}

const anyTensors = fc.uniqueArray(
  fc.record({
    name: fc.string({ unit: "grapheme", maxLength: 20 }),
    dtype: fc.constantFrom("F16" as const, "BF16" as const, "F32" as const),
    shape: fc.array(fc.nat(4), { maxLength: 5 }),
  }),
  { selector: ({ name }) => name, maxLength: 30 },
);

/** Bytes that say which tensor they are of. */
const bytesFor = (name: string, byteLength: number) =>
  Buffer.alloc(byteLength, createHash("sha256").update(name).digest());

test("whatever is laid out reads back the same, in order, at multiples of 64", async () => {
  await fc.assert(
    fc.asyncProperty(anyTensors, async (tensors) => {
      const layout = layOutTorchZip("model.bin", tensors);
      const { placed } = layout;
      const dataOf = (i: number) => bytesFor(placed[i]?.tensor.name ?? "", placed[i]?.byteLength ?? 0);
      const views = await readTorchZip(memoryFile(wholeShard(layout, dataOf)));
      assert.deepEqual(
        views.map(({ name, dtype, shape }) => ({ name, dtype, shape })),
        tensors.map(({ name, dtype, shape }) => ({ name, dtype, shape })),
      );
      const offsets = new Map(placed.map(({ tensor, offsetBytes }) => [tensor.name, offsetBytes]));
      for (const view of views) {
        const { file, offsetBytes } = view.pieces[0];
        assert.equal(offsetBytes, offsets.get(view.name));
        assert.equal(offsetBytes % 64, 0);
        const data = gather(onePiece({ ...view, file, offsetBytes }));
        assert.ok(data.equals(bytesFor(view.name, data.length)), view.name);
      }
    }),
  );
});

test("an independent reader of zips finds every record, with the checksum of its bytes", async () => {
  const tensors = Array.from({ length: 12 }, (_, i) => ({
    name: `t${i}`,
    dtype: "F32" as const,
    shape: [i],
  }));
  const layout = layOutTorchZip("model.bin", tensors);
  const { placed } = layout;
  const file = wholeShard(layout, (i) => bytesFor(placed[i]?.tensor.name ?? "", placed[i]?.byteLength ?? 0));
  const records = await readZipRecords(file);
  const storages = tensors.map((_, i) => `model/data/${i}`).sort();
  assert.deepEqual([...records.keys()], ["model/data.pkl", ...storages, "model/version"]);
});
