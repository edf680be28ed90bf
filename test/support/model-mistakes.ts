/** The other situations of docs/mistakes.md: wrong bases, odd models, and what is in the way of a merge. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { mapNumbers, type RepeatedTensor, tuned, writeLifeSize } from "./life-size-model.js";
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
  filesOf,
  json,
  LLAMA,
  LLAMA_2,
  ROOM_7B,
  writeBase,
  writeBoth,
  writeDelta,
  writeFiles,
} from "./vicuna-folders.js";

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

export const MODEL_MISTAKES: Mistake[] = [
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
