/**
 * What is fuzzed: one entry for each reader, with real files to start from and a check of what it gives. A reader that
 * is added later is fuzzed by being listed here.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type fc from "fast-check";
import { Budget } from "../../src/budget.js";
import { parseStrictJson } from "../../src/files/json.js";
import { detectFormat } from "../../src/formats/detect.js";
import { readPickle } from "../../src/formats/torch/pickle.js";
import { locateEntries, readZipDirectory } from "../../src/formats/torch/zip-directory.js";
import { noPause } from "../../src/interrupt.js";
import { readSentencePiece } from "../../src/llama/sentencepiece.js";
import { fixturePath, projectPath } from "../support/fixture-path.js";
import { ggufBytes, tensor as ggufTensor, key, text, u32, u64 } from "../support/gguf-bytes.js";
import { memoryFile } from "../support/memory-file.js";
import {
  readGguf,
  readSafetensors,
  readShardIndex,
  readTorchLegacy,
  readTorchZip,
} from "../support/readers.js";
import { llamaPieces, sentencePieceModel } from "../support/sentencepiece-samples.js";
import { checkpointEntries, legacyStream, stateDict, storedZip, tensor } from "../support/torch-samples.js";
import { checkViews } from "./check-views.js";
import * as generate from "./generate.js";
import { assetTargets, metaTarget, modelTarget } from "./model-targets.js";

export interface Target {
  readonly name: string;
  /** Share of the cases of a run, 1 for most: whole programs are slow. */
  readonly share: number;
  /** Real files, to be changed. */
  readonly seeds: () => readonly Buffer[];
  /** Files made anew. */
  readonly generator: fc.Arbitrary<Buffer> | null;
  /** Reads one file in any way it can be read; rejects with a typed error or resolves where all is well. */
  readonly read: (bytes: Buffer) => Promise<void>;
}

const TORCH = fixturePath("torch");

/** Files of a folder of fixtures whose names match. */
function filesOf(folder: string, pattern: RegExp): Buffer[] {
  return readdirSync(folder)
    .filter((name) => pattern.test(name))
    .sort()
    .map((name) => readFileSync(join(folder, name)));
}

const zipSeeds = () => [
  ...filesOf(fixturePath("torch2"), /^(?!legacy|page-aligned).*\.bin$/),
  ...filesOf(TORCH, /^(?!legacy).*\.(?:bin|pt)$/),
  ...filesOf(join(TORCH, "refused"), /\.pt$/),
];
const legacySeeds = () => [
  legacyStream(),
  ...filesOf(fixturePath("torch2"), /^legacy.*\.bin$/),
  ...filesOf(TORCH, /^legacy.*\.(?:bin|pt)$/),
];
const safetensorsSeeds = () => filesOf(fixturePath("safetensors"), /\.safetensors$/);
const indexSeeds = () => [
  readFileSync(fixturePath("shard-index/pretrained/model.safetensors.index.json")),
  readFileSync(projectPath("examples/tiny/delta/pytorch_model.bin.index.json")),
];

const ggufSeeds = () => [
  ggufBytes({
    keys: [
      key("general.architecture", 8, text("llama")),
      key("general.alignment", 4, u32(64)),
      key("tokens", 9, u32(8), u64(3), text("<unk>"), text("<s>"), text("\u2581a")),
      key("scores", 9, u32(6), u64(2), u32(0x3f800000), u32(0)),
      key("add_bos", 7, Buffer.of(1)),
    ],
    tensors: [ggufTensor("a.weight", [32, 2], 8), ggufTensor("b.weight", [4], 0, 128)],
    alignment: 64,
    data: 144,
  }),
  ggufBytes({ tensors: [ggufTensor("t", [256, 3], 12)], data: 432 }),
];

const READERS: readonly Target[] = [
  {
    name: "safetensors",
    share: 1,
    seeds: safetensorsSeeds,
    generator: generate.safetensorsFiles,
    read: async (bytes) => checkViews(await readSafetensors(memoryFile(bytes))),
  },
  {
    name: "gguf",
    share: 1,
    seeds: ggufSeeds,
    generator: null,
    read: async (bytes) => checkViews(await readGguf(memoryFile(bytes))),
  },
  {
    name: "json",
    share: 1,
    seeds: indexSeeds,
    generator: generate.jsonTexts,
    async read(bytes) {
      await parseStrictJson(bytes, {
        file: "memory.bin",
        offsetBytes: 0,
        malformed: "header-malformed",
        budget: new Budget(),
        pause: noPause,
        hint: "None.",
      });
      // What is stricter than JSON is JSON.
      JSON.parse(bytes.toString("utf8"));
    },
  },
  {
    name: "shard-index",
    share: 1,
    seeds: indexSeeds,
    generator: generate.shardIndexes,
    async read(bytes) {
      const { shards } = await readShardIndex(memoryFile(bytes));
      for (const shard of shards) assert.equal(join("/folder", shard), `/folder/${shard}`);
    },
  },
  {
    name: "zip-directory",
    share: 1,
    seeds: () => [...zipSeeds(), storedZip(checkpointEntries(stateDict({ a: tensor() })))],
    generator: generate.zips,
    async read(bytes) {
      const file = memoryFile(bytes);
      const directory = await readZipDirectory(file);
      const startOf = await locateEntries(file, directory, [...directory.entries.values()]);
      for (const entry of directory.entries.values()) {
        assert.ok(startOf(entry) + entry.byteLength <= bytes.length, entry.name);
      }
    },
  },
  {
    name: "torch-zip",
    share: 1,
    seeds: zipSeeds,
    generator: generate.torchZips,
    read: async (bytes) => checkViews(await readTorchZip(memoryFile(bytes))),
  },
  {
    name: "pickle",
    share: 1,
    seeds: () => [stateDict({ a: tensor(), b: tensor({ shape: [2, 2], strides: [1, 2] }) })],
    generator: generate.pickles,
    async read(bytes) {
      const unpickled = readPickle({ path: "memory.bin", bytes, offsetBytes: 0 }, 5);
      assert.ok((unpickled?.end ?? 0) <= bytes.length);
    },
  },
  {
    name: "torch-legacy",
    share: 1,
    seeds: legacySeeds,
    generator: generate.legacyStreams,
    read: async (bytes) => checkViews(await readTorchLegacy(memoryFile(bytes))),
  },
  {
    name: "format",
    share: 0.5,
    seeds: () => [...safetensorsSeeds(), ...zipSeeds(), ...legacySeeds()],
    generator: null,
    async read(bytes) {
      await detectFormat(memoryFile(bytes));
    },
  },
  {
    name: "sentencepiece",
    share: 1,
    seeds: () => [sentencePieceModel(llamaPieces(20)), ...filesOf(fixturePath("tokenizer"), /\.model$/)],
    generator: generate.sentencePieces,
    async read(bytes) {
      const { pieces, special } = await readSentencePiece(bytes, "memory.bin");
      for (const role of Object.values(special)) assert.ok(role === null || pieces[role.id] === role.name);
    },
  },
];

export const TARGETS: readonly Target[] = [...READERS, ...assetTargets(), metaTarget(), modelTarget()];
