/**
 * Readers that need a folder: the files beside the weights, each changed by itself, and the whole program. Nothing
 * outside the target may be written, and no file outside the two models be read.
 */
import assert from "node:assert/strict";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { applyDelta, planMerge } from "../../src/apply/apply-delta.js";
import { parsePythonJson } from "../../src/files/json.js";
import { openCheckpoint } from "../../src/formats/open.js";
import { type Asset, planAssets } from "../../src/llama/assets.js";
import { readModelConfig } from "../../src/llama/model-config.js";
import { readTokenizerState } from "../../src/llama/tokenizer-state.js";
import { fixturePath, projectPath } from "../support/fixture-path.js";
import { goldenAssets, metadataOf } from "../support/gguf-golden.js";
import { listing, tinyPair, tinyShapes, writeModel } from "../support/model-folder.js";
import { checkViews } from "./check-views.js";
import { configs } from "./generate.js";
import type { Target } from "./targets.js";

/** One for the process, made when it is first used and removed at its end. */
let scratch: string | undefined;

function scratchFolder(name: string): string {
  if (scratch === undefined) {
    const made = mkdtempSync(join(tmpdir(), "vicuna-fuzz-"));
    scratch = made;
    process.once("exit", () => rmSync(made, { recursive: true, force: true }));
  }
  const folder = join(scratch, name);
  mkdirSync(folder, { recursive: true });
  return folder;
}

const ROWS = 24;

const TOKENIZER_JSON = {
  added_tokens: [{ id: ROWS - 1, content: "[PAD]" }],
  model: { type: "BPE", vocab: { "<unk>": 0, "<s>": 1, "</s>": 2 }, merges: [] },
};
const DECODER = { added_tokens_decoder: { [ROWS - 1]: { content: "[PAD]" }, [ROWS]: { content: "<a>" } } };

/** The texts beside the weights, with files to start from besides those of the tiny example. */
const ASSETS: Readonly<Record<string, readonly string[]>> = {
  "config.json": [
    '{"architectures":["LLaMAForCausalLM"],"bos_token_id":0,"eos_token_id":[1],"vocab_size":7}',
  ],
  "generation_config.json": ['{"bos_token_id":0,"eos_token_id":1,"pad_token_id":-1}'],
  "tokenizer_config.json": [JSON.stringify(DECODER), '{"tokenizer_class":"LLaMATokenizer","eos_token":""}'],
  "special_tokens_map.json": [
    '{"bos_token":"</s>","eos_token":"</s>","pad_token":"[PAD]","unk_token":"</s>"}',
  ],
  "added_tokens.json": ['{"[PAD]": 23, "<a>": 24}', "{}"],
  "tokenizer.json": [JSON.stringify(TOKENIZER_JSON)],
};

/** One target for each text: planned, looked at as `inspect` does, trimmed and not. */
export function assetTargets(): Target[] {
  const example = projectPath("examples/tiny/delta");
  return Object.entries(ASSETS).map(([fileName, more]) => ({
    name: fileName,
    share: 0.5,
    seeds: () => {
      const real = ["tokenizer.json", "added_tokens.json"].includes(fileName)
        ? []
        : [readFileSync(join(example, fileName))];
      return [...real, ...more.map((text) => Buffer.from(text))];
    },
    generator: configs,
    async read(bytes) {
      const folder = scratchFolder(`asset-${fileName}`);
      writeFileSync(join(folder, fileName), bytes);
      const facts = { rows: ROWS, trimmedRows: bytes.length % 2, torchDType: "float16" };
      await readTokenizerState(folder, ROWS);
      const { files } = await planAssets(folder, folder, facts, {
        chatTemplate: bytes.length % 3 === 0 ? "v0" : null,
      });
      // What is written anew is JSON again, or Python's, which has NaN.
      for (const file of files) if ("text" in file) parsePythonJson(file.text);
      readModelConfig(folder);
      await metadataOf(withText(fileName, bytes), { name: "fuzzed", parameters: 1e9, fileType: 1 });
    },
  }));
}

/** The files of a whole model, one of them with other bytes. */
function withText(fileName: string, bytes: Buffer): Asset[] {
  const others = goldenAssets({}).filter((asset) => asset.fileName !== fileName);
  return [...others, { fileName, text: bytes.toString() }];
}

/** Files of a folder in Meta's layout that are changed; the number of the file is the input's first byte. */
const META = ["params.json", "consolidated.00.pth", "consolidated.01.pth"];

/** Meta's weights, one file of which is changed: no view of what is put together leads out of a file. */
export function metaTarget(): Target {
  const source = fixturePath("meta/files-2");
  return {
    name: "meta",
    share: 0.2,
    seeds: () => META.map((name, i) => Buffer.concat([Buffer.of(i), readFileSync(join(source, name))])),
    generator: null,
    async read(bytes) {
      const folder = scratchFolder("meta");
      cpSync(source, folder, { recursive: true });
      writeFileSync(join(folder, META[(bytes[0] ?? 0) % META.length] as string), bytes.subarray(1));
      const { tensors, close } = await openCheckpoint(folder);
      close();
      checkViews(tensors);
    },
  };
}

/** Files of the delta's folder that are changed; the number of the file is the input's first byte. */
const CHANGED = [
  ...["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"],
  ...["pytorch_model.bin", "config.json", "tokenizer.model", "tokenizer_config.json"],
];

/** A base, and a delta in either format, in a folder that also has a model that no file may lead to. */
function makeModels(): string {
  const root = scratchFolder("models");
  const pair = tinyPair(1, tinyShapes(16, 8, 1));
  writeModel(join(root, "base"), pair.base);
  writeModel(join(root, "sharded"), pair.delta, { shards: 2 });
  writeModel(join(root, "torch"), pair.delta, { format: "torch" });
  writeModel(join(root, "outside"), pair.delta);
  return root;
}

let models: string | undefined;

/** The whole program over a delta one file of which is changed. */
export function modelTarget(): Target {
  const folderOf = (fileName: string) => (fileName === "pytorch_model.bin" ? "torch" : "sharded");
  return {
    name: "whole-program",
    share: 0.02,
    seeds: () => {
      models ??= makeModels();
      return CHANGED.map((fileName, i) =>
        Buffer.concat([Buffer.of(i), readFileSync(join(models ?? "", folderOf(fileName), fileName))]),
      );
    },
    generator: null,
    async read(bytes) {
      models ??= makeModels();
      const fileName = CHANGED[(bytes[0] ?? 0) % CHANGED.length] as string;
      const source = join(models, folderOf(fileName));
      const parent = scratchFolder("case");
      const target = join(parent, "target");
      const delta = join(parent, "delta");
      cpSync(source, delta, { recursive: true });
      writeFileSync(join(delta, fileName), bytes.subarray(1));
      const before = listing(dirname(parent));
      const options = { base: join(models, "base"), delta, target, threads: 1, force: true } as const;
      try {
        await planMerge(options);
        const checkpoint = await openCheckpoint(delta);
        checkpoint.close();
        for (const { path } of checkpoint.files) assert.equal(dirname(path), delta);
        assert.deepEqual(listing(dirname(parent)), before, "a plan touches nothing");
        await applyDelta(options);
      } finally {
        rmSync(target, { recursive: true, force: true });
        assert.deepEqual(
          withoutTimes(listing(dirname(parent))),
          withoutTimes(before),
          "nothing but the target",
        );
        rmSync(delta, { recursive: true, force: true });
      }
    },
  };
}

/** The folder's own time changes when the target comes and goes. */
function withoutTimes(files: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(files).filter(([, what]) => what !== "not a file"));
}
