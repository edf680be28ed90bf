/** The situations of docs/mistakes.md, in the order of its sections. */
import { rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  lifeSizeModel,
  mapNumbers,
  type RepeatedTensor,
  tuned,
  withRows,
  writeLifeSize,
} from "./life-size-model.js";
import { writeMeta } from "./meta-model.js";
import type { Mistake } from "./mistake-page.js";
import { floats, safetensorsFile, tinyPair, tinyShapes, writeModel } from "./model-folder.js";
import { roundTo } from "./numbers.js";
import {
  APPLY,
  apply,
  BASE_NAME,
  config,
  DELTA,
  DELTA_NAME,
  DELTA_V0_NAME,
  filesOf,
  json,
  LLAMA,
  LLAMA_2,
  writeBase,
  writeBoth,
  writeDelta,
  writeDeltaV0,
  writeFiles,
} from "./vicuna-folders.js";

/** What the dry run of a 7B model in float16 asks for. */
const ROOM_7B = 13.5e9;

const LFS_POINTER =
  "version https://git-lfs.github.com/spec/v1\noid sha256:7f161fb09b19b1cef6ae3807b154f18e7a4973cc8c200e2508c6d6958caad2f0\nsize 9976634558\n";

const SHARD = "pytorch_model-00001-of-00002.bin";

/** The tensors with those whose names match taken from another model. */
function replaced(
  tensors: readonly RepeatedTensor[],
  others: readonly RepeatedTensor[],
  names: RegExp,
): RepeatedTensor[] {
  const byName = new Map(others.map((tensor) => [tensor.name, tensor]));
  return tensors.map((tensor) => {
    const other = names.test(tensor.name) ? byName.get(tensor.name) : undefined;
    return other === undefined ? tensor : { ...other, kind: `other ${other.kind}` };
  });
}

export const MISTAKES: Mistake[] = [
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
  {
    heading: "Gibberish: Llama 2 as the base of a LLaMA 1 delta",
    command: apply("llama-2-7b", DELTA_NAME),
    exit: 5,
    make: (root) => {
      const llama2 = { "config.json": config("7B", { max_position_embeddings: 4096, rms_norm_eps: 1e-5 }) };
      writeLifeSize(join(root, "llama-2-7b"), LLAMA_2, filesOf("7B", llama2));
      writeDelta(root);
    },
  },
  {
    heading: "A fine-tuned model as the base",
    command: apply("alpaca-7b", DELTA_NAME, "--dry-run"),
    exit: 0,
    needsBytes: ROOM_7B,
    make: (root) => {
      writeLifeSize(join(root, "alpaca-7b"), tuned(LLAMA, 5), filesOf("7B"));
      writeDelta(root);
    },
  },
  {
    heading: "A base that was rounded through bfloat16",
    command: `${APPLY} --dry-run`,
    exit: 0,
    needsBytes: ROOM_7B,
    make: (root) => {
      writeBase(root, rounded(LLAMA));
      writeDelta(root);
    },
  },
  {
    heading: "A part of the base from another download",
    command: APPLY,
    exit: 5,
    make: (root) => {
      writeBase(root, replaced(LLAMA, LLAMA_2, /layers\.(?:1[6-9]|2\d|3\d)\./));
      writeDelta(root);
    },
  },
  {
    heading: "Zeros inside a file of the right size",
    command: APPLY,
    exit: 4,
    make: (root) => {
      const zeros = LLAMA.map((tensor) => ({ ...tensor, row: new Float64Array(tensor.row.length) }));
      writeBase(root, replaced(LLAMA, zeros, /layers\.(?:7|8)\.mlp/));
      writeDelta(root);
    },
  },
  {
    heading: "Embeddings that the delta holds whole",
    command: `${APPLY} --dry-run`,
    exit: 0,
    needsBytes: ROOM_7B,
    make: (root) => {
      writeBase(root);
      writeDelta(root, replaced(DELTA, tuned(LLAMA), /embed_tokens|lm_head/));
    },
  },
  {
    heading: "LLaMATokenizer does not exist; bos and eos are blank",
    command: `${APPLY} --dry-run`,
    exit: 0,
    needsBytes: ROOM_7B,
    make: (root) => {
      writeBase(root);
      writeDelta(root, DELTA, {
        "config.json": config("7B", {
          architectures: ["LLaMAForCausalLM"],
          bos_token_id: 0,
          eos_token_id: 1,
          pad_token_id: -1,
        }),
        "tokenizer_config.json": json({
          bos_token: "",
          eos_token: "",
          model_max_length: 2048,
          tokenizer_class: "LLaMATokenizer",
          unk_token: "",
        }),
      });
    },
  },
  {
    heading: "Generation never stops: special_tokens_map.json is missing",
    command: `${APPLY} --dry-run`,
    exit: 0,
    needsBytes: ROOM_7B,
    make: (root) => {
      writeBoth(root);
      rmSync(join(root, DELTA_NAME, "special_tokens_map.json"));
    },
  },
  {
    heading: "A base in safetensors gives an empty model",
    command: "--base tiny-llama --delta tiny-delta --target tiny-vicuna --low-cpu-mem",
    exit: 0,
    writes: true,
    make: (root) => {
      const { base, delta } = tinyPair(1, tinyShapes(64, 32, 2));
      writeModel(join(root, "tiny-llama"), base);
      writeModel(join(root, "tiny-delta"), delta, { format: "torch", shards: 2 });
    },
  },
  {
    heading: "The target exists already",
    command: APPLY,
    exit: 6,
    make: (root) => {
      writeBoth(root);
      writeFiles(root, "vicuna-7b", { "notes.txt": "mine" });
    },
  },
  {
    heading: "Tensors that only the delta has",
    command: apply(BASE_NAME, "my-delta"),
    exit: 5,
    make: (root) => {
      writeBase(root);
      const head = { name: "v_head.summary.weight", kind: "v_head", dtype: "F16", shape: [1, 4096] } as const;
      const delta = [...DELTA, { ...head, row: new Float64Array(4096).fill(0.001) }];
      writeLifeSize(join(root, "my-delta"), delta, filesOf("7B"));
    },
  },
  {
    heading: "No space left on device",
    command: apply(BASE_NAME, "my-delta-fp32", "--dry-run"),
    exit: 0,
    needsBytes: 2 * ROOM_7B,
    make: (root) => {
      writeBase(root);
      const delta = DELTA.map((tensor) => ({ ...tensor, dtype: "F32" }) as const);
      writeLifeSize(join(root, "my-delta-fp32"), delta, filesOf("7B"));
    },
  },
  {
    heading: "A quantized base",
    command: apply("llama-7b-4bit-128g", DELTA_NAME),
    exit: 4,
    make: (root) => {
      const gptq = (name: string, dtype: string, bytes: number) => ({
        name: `model.layers.0.self_attn.q_proj.${name}`,
        dtype,
        shape: [bytes / (dtype === "F16" ? 2 : 4)],
        bytes: new Uint8Array(bytes),
      });
      writeFiles(root, "llama-7b-4bit-128g", {
        "config.json": config("7B"),
        "llama-7b-4bit-128g.safetensors": safetensorsFile([
          floats("model.embed_tokens.weight", "F16", [4, 8], new Float64Array(32)),
          gptq("g_idx", "I32", 64),
          gptq("qweight", "I32", 64),
          gptq("qzeros", "I32", 16),
          gptq("scales", "F16", 32),
        ]),
      });
      writeDelta(root);
    },
  },
  {
    heading: "A file of Meta's is missing",
    command: apply("LLaMA/13B", DELTA_NAME),
    exit: 4,
    make: (root) => {
      rmSync(join(writeMeta(join(root, "LLaMA/13B"), { files: 2 }), "consolidated.01.pth"));
      writeDelta(root);
    },
  },
  {
    heading: "A LoRA adapter",
    command: apply(BASE_NAME, "alpaca-lora-7b"),
    exit: 4,
    make: (root) => {
      writeBase(root);
      writeFiles(root, "alpaca-lora-7b", { "adapter_config.json": "{}", "adapter_model.bin": "PK" });
    },
  },
  {
    heading: "A typo in a path",
    command: apply("lama-7b", DELTA_NAME),
    exit: 3,
    make: writeBoth,
  },
  {
    heading: "A model on the Hub, without a network",
    command: `${apply(BASE_NAME, "lmsys/vicuna-7b-delta-v1.1")} --offline`,
    exit: 3,
    make: writeBase,
  },
];

function rounded(tensors: readonly RepeatedTensor[]): RepeatedTensor[] {
  return mapNumbers(tensors, (value) => roundTo("F16", roundTo("BF16", value)));
}
