/** Opening a checkpoint: what an index promises is checked, the order is a state dict's, and nothing stays open. */
import assert from "node:assert/strict";
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { openCheckpoint } from "../../src/formats/open.js";
import { fixturePath } from "../support/fixture-path.js";
import { floats, safetensorsFile, temporaryFolder, torchFile, writeModel } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";

const tensor = (name: string, start = 0) => floats(name, "F16", [2], [start, start + 1]);
const NAMES = ["a", "b", "c", "d"];
const FOUR = NAMES.map((name, i) => tensor(name, i));

/** A model of two shards: a and b, c and d. */
function twoShards(context: TestContext, format: "safetensors" | "torch" = "safetensors"): string {
  return writeModel(join(temporaryFolder(context), "model"), FOUR, { format, shards: 2, files: {} });
}
const FIRST = "model-00001-of-00002.safetensors";
const SECOND = "model-00002-of-00002.safetensors";
const INDEX = "model.safetensors.index.json";

function changeIndex(folder: string, change: (weightMap: Record<string, string>) => void): void {
  const path = join(folder, INDEX);
  const index = JSON.parse(readFileSync(path, "utf8")) as { weight_map: Record<string, string> };
  change(index.weight_map);
  writeFileSync(path, JSON.stringify(index));
}

/** Opens, runs `look`, closes. */
async function opened<T>(
  path: string,
  look: (checkpoint: Awaited<ReturnType<typeof openCheckpoint>>) => T,
): Promise<T> {
  const checkpoint = await openCheckpoint(path);
  try {
    return look(checkpoint);
  } finally {
    checkpoint.close();
  }
}

const namesOf = (path: string) => opened(path, ({ tensors }) => tensors.map(({ name }) => name));

for (const format of ["safetensors", "torch"] as const) {
  test(`two shards with an index: ${format}`, async (context) => {
    const folder = twoShards(context, format);
    await opened(folder, (checkpoint) => {
      assert.equal(checkpoint.path, folder);
      assert.equal(checkpoint.folder, folder);
      assert.deepEqual(checkpoint.formats, [format === "torch" ? "torch-zip" : format]);
      assert.equal(checkpoint.files.length, 2);
      assert.deepEqual(
        checkpoint.tensors.map(({ name, dtype, shape }) => ({ name, dtype, shape })),
        NAMES.map((name) => ({ name, dtype: "F16", shape: [2] })),
      );
      assert.deepEqual(checkpoint.notes, []);
    });
  });
}

for (const ending of [".aria2", ".part", ".crdownload", ".!qB"]) {
  test(`a shard with ${ending} beside it is still being downloaded`, async (context) => {
    const folder = twoShards(context);
    writeFileSync(join(folder, SECOND + ending), "");
    await refusal(() => openCheckpoint(folder), "truncated-file", {
      file: join(folder, SECOND),
      message: /has not finished/,
      got: `${SECOND}${ending} beside it`,
    });
    await refusal(() => openCheckpoint(join(folder, SECOND)), "truncated-file", {
      message: /has not finished/,
    });
    assert.deepEqual(await namesOf(join(folder, FIRST)), ["a", "b"]);
  });
}

test("an index that begins with zeros is of an XOR release, or was never filled", async (context) => {
  const folder = twoShards(context);
  writeFileSync(join(folder, INDEX), Buffer.alloc(500));
  await refusal(() => openCheckpoint(folder), "unknown-format", {
    file: join(folder, INDEX),
    hint: /XOR release/,
  });
});

test("every tensor's bytes are where its view says", async (context) => {
  for (const format of ["safetensors", "torch"] as const) {
    const checkpoint = await openCheckpoint(twoShards(context, format));
    for (const [i, { pieces }] of checkpoint.tensors.entries()) {
      const [{ file, offsetBytes }] = pieces;
      assert.deepEqual(Buffer.from(await file.read(offsetBytes, 4)), Buffer.from(FOUR[i]?.bytes ?? []));
    }
    checkpoint.close();
  }
});

test("a file and an index by their own paths", async (context) => {
  const folder = twoShards(context);
  assert.deepEqual(await namesOf(join(folder, SECOND)), ["c", "d"]);
  assert.deepEqual(await namesOf(join(folder, INDEX)), NAMES);
  assert.equal(await opened(join(folder, INDEX), (checkpoint) => checkpoint.folder), folder);
});

test("shards of both formats in one checkpoint", async (context) => {
  const folder = twoShards(context);
  const mixed = torchFile([tensor("c"), tensor("d")]);
  writeFileSync(join(folder, SECOND), mixed);
  await opened(folder, ({ formats, tensors }) => {
    assert.deepEqual(formats, ["safetensors", "torch-zip"]);
    assert.equal(tensors.length, 4);
  });
});

test("a shard that the index names is missing", async (context) => {
  const folder = twoShards(context);
  rmSync(join(folder, SECOND));
  await refusal(() => openCheckpoint(folder), "shard-missing", {
    file: join(folder, SECOND),
    expected: "2 shards",
    got: `1; missing: ${SECOND}`,
  });
});

test("a shard is a link that leads nowhere", async (context) => {
  const folder = twoShards(context);
  rmSync(join(folder, FIRST));
  symlinkSync("../blobs/0123", join(folder, FIRST));
  await refusal(() => openCheckpoint(folder), "shard-missing", { file: join(folder, FIRST) });
});

test("many missing shards are listed up to ten", async (context) => {
  const folder = join(temporaryFolder(context), "model");
  const tensors = Array.from({ length: 12 }, (_, i) => tensor(`t${i}`));
  writeModel(folder, tensors, { shards: 12, files: {} });
  for (const name of readdirSync(folder)) if (name !== INDEX) rmSync(join(folder, name));
  const error = await refusal(() => openCheckpoint(folder), "shard-missing", {
    expected: "12 shards",
    got: /^0; /,
  });
  assert.equal(String(error.details.got).match(/safetensors/g)?.length, 10);
});

test("shards that are links, as in the Hub's cache", async (context) => {
  const folder = twoShards(context);
  const blobs = join(folder, "..", "blobs");
  mkdirSync(blobs);
  for (const [i, name] of [FIRST, SECOND, INDEX].entries()) {
    renameSync(join(folder, name), join(blobs, `${i}`));
    symlinkSync(join("..", "blobs", `${i}`), join(folder, name));
  }
  assert.deepEqual(await namesOf(folder), NAMES);
});

test("a tensor in two shards", async (context) => {
  const folder = twoShards(context);
  writeFileSync(join(folder, SECOND), safetensorsFile([tensor("c"), tensor("d"), tensor("b")]));
  await refusal(() => openCheckpoint(folder), "duplicate-tensor", {
    file: join(folder, SECOND),
    tensor: "b",
    got: `also in ${join(folder, FIRST)}`,
  });
});

test("a tensor in two files without an index", async (context) => {
  const folder = temporaryFolder(context);
  writeFileSync(join(folder, "a.bin"), torchFile([tensor("x")]));
  writeFileSync(join(folder, "b.bin"), torchFile([tensor("x")]));
  await refusal(() => openCheckpoint(folder), "duplicate-tensor", {
    file: join(folder, "b.bin"),
    tensor: "x",
  });
});

test("the index names a tensor that no shard holds", async (context) => {
  const folder = twoShards(context);
  changeIndex(folder, (weightMap) => {
    weightMap.e = SECOND;
  });
  await refusal(() => openCheckpoint(folder), "tensor-missing-in-shard", {
    file: join(folder, INDEX),
    tensor: "e",
    expected: SECOND,
    got: "in no shard",
  });
});

test("the index names another shard than the one that holds the tensor", async (context) => {
  const folder = twoShards(context);
  changeIndex(folder, (weightMap) => {
    weightMap.b = SECOND;
  });
  await refusal(() => openCheckpoint(folder), "tensor-missing-in-shard", {
    tensor: "b",
    expected: SECOND,
    got: FIRST,
  });
});

test("tensors that the index leaves out are read and noted", async (context) => {
  const folder = twoShards(context);
  changeIndex(folder, (weightMap) => {
    delete weightMap.b;
  });
  await opened(folder, ({ tensors, notes }) => {
    assert.equal(tensors.length, 4);
    assert.deepEqual(notes, [`${INDEX} leaves out 1 tensor that its shards hold (b); it was read.`]);
  });
  const extra = ["x1", "x2", "x3"].map((name) => tensor(name));
  writeFileSync(join(folder, SECOND), safetensorsFile([tensor("c"), tensor("d"), ...extra]));
  await opened(folder, ({ notes }) => {
    assert.deepEqual(notes, [
      `${INDEX} leaves out 4 tensors that its shards hold (b, x1, x2, …); they were read.`,
    ]);
  });
});

test("a checkpoint without a tensor", async (context) => {
  const folder = temporaryFolder(context);
  writeFileSync(join(folder, "model.safetensors"), safetensorsFile([]));
  await refusal(() => openCheckpoint(folder), "no-weights", { file: folder, message: /no tensor/ });
});

test("a folder where a weights file should be", async (context) => {
  const folder = temporaryFolder(context);
  mkdirSync(join(folder, "model.safetensors"));
  await refusal(() => openCheckpoint(folder), "source-unreadable", {
    file: join(folder, "model.safetensors"),
  });
});

const pretrained = JSON.parse(
  readFileSync(fixturePath("shard-index/pretrained/state-dict.json"), "utf8"),
) as {
  names: string[];
};

test("a LLaMA in safetensors comes in the order of its state dict", async (context) => {
  assert.deepEqual(await namesOf(fixturePath("shard-index/pretrained")), pretrained.names);
  // The same without the index, from one file whose tensors are sorted by name.
  const folder = temporaryFolder(context);
  const sorted = [...pretrained.names].sort().map((name) => tensor(name));
  writeFileSync(join(folder, "model.safetensors"), safetensorsFile(sorted));
  assert.deepEqual(await namesOf(folder), pretrained.names);
});

test("a PyTorch checkpoint keeps its own order", async (context) => {
  const folder = temporaryFolder(context);
  const reversed = [...pretrained.names].reverse();
  writeFileSync(join(folder, "pytorch_model.bin"), torchFile(reversed.map((name) => tensor(name))));
  assert.deepEqual(await namesOf(folder), reversed);
});

/** Paths below a folder that this process holds open. */
function openFilesIn(folder: string): string[] {
  return readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.startsWith(folder) ? [path] : [];
    } catch {
      return []; // Closed since it was listed: the descriptor of the listing itself.
    }
  });
}

/** Ways to spoil a checkpoint of two shards, each met at another step of opening. */
const SPOILS: Record<string, (folder: string) => void> = {
  "a shard is missing": (folder) => rmSync(join(folder, SECOND)),
  "a shard is empty": (folder) => writeFileSync(join(folder, SECOND), ""),
  "a shard is of no format": (folder) => writeFileSync(join(folder, SECOND), Buffer.alloc(99)),
  "a shard's header is malformed": (folder) => writeFileSync(join(folder, SECOND), "\x02\0\0\0\0\0\0\0{]"),
  "a shard's pickle is malformed": (folder) => writeFileSync(join(folder, SECOND), "PK\x03\x04"),
  "a tensor stands twice": (folder) => writeFileSync(join(folder, SECOND), safetensorsFile([tensor("a")])),
  "the index is malformed": (folder) => writeFileSync(join(folder, INDEX), "{"),
  "the index disagrees": (folder) =>
    changeIndex(folder, (weightMap) => Object.assign(weightMap, { e: FIRST })),
};
for (const [title, spoil] of Object.entries(SPOILS)) {
  const skip = process.platform === "linux" ? false : "needs /proc";
  test(`no file stays open where ${title}`, { skip }, async (context) => {
    const folder = realpathSync(twoShards(context));
    spoil(folder);
    await assert.rejects(openCheckpoint(folder), { name: "ApplyDeltaError" });
    assert.deepEqual(openFilesIn(folder), []);
  });
}

test("close closes every file, and may be called twice", {
  skip: process.platform !== "linux",
}, async (context) => {
  const folder = realpathSync(twoShards(context));
  const checkpoint = await openCheckpoint(folder);
  assert.deepEqual(openFilesIn(folder).sort(), [join(folder, FIRST), join(folder, SECOND)]);
  checkpoint.close();
  checkpoint.close();
  assert.deepEqual(openFilesIn(folder), []);
});
