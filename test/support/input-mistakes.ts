/** The first situations of docs/mistakes.md: files and pairs that are not what they should be. */
import { rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { lifeSizeModel, tuned, withRows, writeLifeSize } from "./life-size-model.js";
import type { Mistake } from "./mistake-page.js";
import { tinyPair, writeModel } from "./model-folder.js";
import {
  APPLY,
  apply,
  BASE_NAME,
  config,
  DELTA,
  DELTA_NAME,
  DELTA_V0_NAME,
  filesOf,
  LLAMA,
  LLAMA_2,
  ROOM_7B,
  writeBase,
  writeBoth,
  writeDelta,
  writeDeltaV0,
} from "./vicuna-folders.js";

const LFS_POINTER =
  "version https://git-lfs.github.com/spec/v1\noid sha256:7f161fb09b19b1cef6ae3807b154f18e7a4973cc8c200e2508c6d6958caad2f0\nsize 9976634558\n";

const SHARD = "pytorch_model-00001-of-00002.bin";

export const INPUT_MISTAKES: Mistake[] = [
  {
    heading: "size mismatch: 32000 against 32001",
    command: apply(BASE_NAME, DELTA_V0_NAME, "--dry-run"),
    exit: 0,
    needsBytes: ROOM_7B,
    make: (root) => {
      writeBase(root);
      writeDeltaV0(root);
    },
  },
  {
    heading: "llama.cpp refuses the merged v0 model: 32001 rows, 32000 pieces",
    command: apply(BASE_NAME, DELTA_V0_NAME, "--trim-pad --dry-run"),
    exit: 0,
    needsBytes: ROOM_7B,
    make: (root) => {
      writeBase(root);
      writeDeltaV0(root);
    },
  },
  {
    heading: "Only lm_head is 32001",
    command: APPLY,
    exit: 5,
    make: (root) => {
      writeBase(root);
      writeDelta(
        root,
        DELTA.map((tensor) => (tensor.kind === "lm_head" ? { ...tensor, shape: [32_001, 4096] } : tensor)),
      );
    },
  },
  {
    heading: "The base has 32001 rows and the delta 32000",
    command: apply("vicuna-7b-v0", DELTA_NAME),
    exit: 5,
    make: (root) => {
      writeLifeSize(
        join(root, "vicuna-7b-v0"),
        withRows(LLAMA, 32_001),
        filesOf("7B", { "config.json": config("7B", { vocab_size: 32_001 }) }),
      );
      writeDelta(root);
    },
  },
  {
    heading: "7B and 13B mixed up",
    command: apply("llama-13b", DELTA_NAME),
    exit: 5,
    make: (root) => {
      writeLifeSize(join(root, "llama-13b"), lifeSizeModel("13B"), {
        ...filesOf("13B"),
        "config.json": config("13B"),
      });
      writeDelta(root);
    },
  },
  {
    heading: "invalid load key, 'v': a Git LFS pointer",
    command: APPLY,
    exit: 4,
    make: (root) => {
      writeBoth(root);
      writeFileSync(join(root, DELTA_NAME, SHARD), LFS_POINTER);
    },
  },
  {
    heading: "invalid load key, '<': a web page",
    command: APPLY,
    exit: 4,
    make: (root) => {
      writeBoth(root);
      writeFileSync(
        join(root, DELTA_NAME, SHARD),
        "<!doctype html>\n<html><head><title>lmsys</title></head></html>\n",
      );
    },
  },
  {
    heading: "A download that stopped half-way",
    command: APPLY,
    exit: 4,
    make: (root) => {
      writeBoth(root);
      truncateSync(join(root, DELTA_NAME, SHARD), 50_000);
    },
  },
  {
    heading: "A download that is still under way",
    command: APPLY,
    exit: 4,
    make: (root) => {
      writeBoth(root);
      writeFileSync(join(root, DELTA_NAME, `${SHARD}.aria2`), "");
    },
  },
  {
    heading: "A shard is missing",
    command: APPLY,
    exit: 4,
    make: (root) => {
      writeBoth(root);
      rmSync(join(root, DELTA_NAME, "pytorch_model-00002-of-00002.bin"));
    },
  },
  {
    heading: "Gibberish: the delta was run as a model",
    command: `inspect ${DELTA_NAME} --tensors 'lm_head*'`,
    exit: 0,
    make: writeBoth,
  },
  {
    heading: "Base and delta swapped",
    command: apply(DELTA_NAME, BASE_NAME),
    exit: 5,
    make: writeBoth,
  },
  {
    heading: "The delta given as the base, too",
    command: apply(DELTA_NAME, DELTA_NAME),
    exit: 5,
    make: writeBoth,
  },
  {
    heading: "A merged model given as the delta",
    command: apply("llama-2-7b", "vicuna-7b-v1.5"),
    exit: 5,
    make: (root) => {
      const llama2 = filesOf("7B", { "config.json": config("7B", { max_position_embeddings: 4096 }) });
      writeLifeSize(join(root, "llama-2-7b"), LLAMA_2, llama2);
      writeLifeSize(join(root, "vicuna-7b-v1.5"), tuned(LLAMA_2), llama2);
    },
  },
  {
    heading: "A merged release, named as on the Hub",
    command: apply("huggyllama/llama-7b", "lmsys/vicuna-7b-v1.3"),
    exit: 5,
    make: () => {},
  },
  {
    heading: "Names behind a prefix",
    command: `${apply("tiny-llama", "tiny-delta")} --dry-run`,
    exit: 0,
    make: (root) => {
      const { base, delta } = tinyPair();
      writeModel(join(root, "tiny-llama"), base);
      const wrapped = delta.map((tensor) => ({ ...tensor, name: `module.${tensor.name}` }));
      writeModel(join(root, "tiny-delta"), wrapped, { format: "torch" });
    },
  },
  {
    heading: "Tensors of shape [0]: ZeRO-3's placeholders",
    command: apply("tiny-llama", "tiny-delta"),
    exit: 4,
    make: (root) => {
      const { base, delta } = tinyPair();
      writeModel(join(root, "tiny-llama"), base);
      const emptied = delta.map((tensor) => ({ ...tensor, shape: [0], bytes: new Uint8Array() }));
      writeModel(join(root, "tiny-delta"), emptied, { format: "torch" });
    },
  },
];
