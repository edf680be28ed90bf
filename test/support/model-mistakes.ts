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
  ROOM_7B,
  writeBase,
  writeBoth,
  writeDelta,
  writeDeltaV0,
  writeFiles,
} from "./vicuna-folders.js";

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

function rounded(tensors: readonly RepeatedTensor[]): RepeatedTensor[] {
  return mapNumbers(tensors, (value) => roundTo("F16", roundTo("BF16", value)));
}

const mistake = (exit: number, heading: string, command: string, make: Mistake["make"]): Mistake => ({
  exit,
  heading,
  command,
  make,
});

/** What works, shown by a dry run of the true size. */
const planned = (heading: string, command: string, make: Mistake["make"], needsBytes = ROOM_7B): Mistake => ({
  ...mistake(0, heading, `${command} --dry-run`, make),
  needsBytes,
});

export const MODEL_MISTAKES: Mistake[] = [
  planned("size mismatch: 32000 against 32001", apply(BASE_NAME, DELTA_V0_NAME), (root) => {
    writeBase(root);
    writeDeltaV0(root);
  }),
  planned(
    "llama.cpp refuses the merged v0 model: 32001 rows, 32000 pieces",
    apply(BASE_NAME, DELTA_V0_NAME, "--trim-pad"),
    (root) => {
      writeBase(root);
      writeDeltaV0(root);
    },
  ),
  mistake(5, "Only lm_head is 32001", APPLY, (root) => {
    writeBase(root);
    writeDelta(
      root,
      DELTA.map((tensor) => (tensor.kind === "lm_head" ? { ...tensor, shape: [32_001, 4096] } : tensor)),
    );
  }),
  mistake(5, "The base has 32001 rows and the delta 32000", apply("vicuna-7b-v0", DELTA_NAME), (root) => {
    writeLifeSize(
      join(root, "vicuna-7b-v0"),
      withRows(LLAMA, 32_001),
      filesOf("7B", { "config.json": config("7B", { vocab_size: 32_001 }) }),
    );
    writeDelta(root);
  }),
  mistake(5, "7B and 13B mixed up", apply("llama-13b", DELTA_NAME), (root) => {
    writeLifeSize(join(root, "llama-13b"), lifeSizeModel("13B"), {
      ...filesOf("13B"),
      "config.json": config("13B"),
    });
    writeDelta(root);
  }),
  mistake(4, "invalid load key, 'v': a Git LFS pointer", APPLY, (root) => {
    writeBoth(root);
    writeFileSync(join(root, DELTA_NAME, SHARD), LFS_POINTER);
  }),
  mistake(4, "invalid load key, '<': a web page", APPLY, (root) => {
    writeBoth(root);
    writeFileSync(
      join(root, DELTA_NAME, SHARD),
      "<!doctype html>\n<html><head><title>lmsys</title></head></html>\n",
    );
  }),
  mistake(4, "A download that stopped half-way", APPLY, (root) => {
    writeBoth(root);
    truncateSync(join(root, DELTA_NAME, SHARD), 50_000);
  }),
  mistake(4, "A download that is still under way", APPLY, (root) => {
    writeBoth(root);
    writeFileSync(join(root, DELTA_NAME, `${SHARD}.aria2`), "");
  }),
  mistake(4, "A shard is missing", APPLY, (root) => {
    writeBoth(root);
    rmSync(join(root, DELTA_NAME, "pytorch_model-00002-of-00002.bin"));
  }),
  mistake(
    0,
    "Gibberish: the delta was run as a model",
    `inspect ${DELTA_NAME} --tensors 'lm_head*'`,
    writeBoth,
  ),
  mistake(5, "Base and delta swapped", apply(DELTA_NAME, BASE_NAME), writeBoth),
  mistake(5, "The delta given as the base, too", apply(DELTA_NAME, DELTA_NAME), writeBoth),
  mistake(5, "A merged model given as the delta", apply("llama-2-7b", "vicuna-7b-v1.5"), (root) => {
    const llama2 = filesOf("7B", { "config.json": config("7B", { max_position_embeddings: 4096 }) });
    writeLifeSize(join(root, "llama-2-7b"), LLAMA_2, llama2);
    writeLifeSize(join(root, "vicuna-7b-v1.5"), tuned(LLAMA_2), llama2);
  }),
  mistake(
    5,
    "A merged release, named as on the Hub",
    apply("huggyllama/llama-7b", "lmsys/vicuna-7b-v1.3"),
    () => {},
  ),
  mistake(0, "Names behind a prefix", `${apply("tiny-llama", "tiny-delta")} --dry-run`, (root) => {
    const { base, delta } = tinyPair();
    writeModel(join(root, "tiny-llama"), base);
    const wrapped = delta.map((tensor) => ({ ...tensor, name: `module.${tensor.name}` }));
    writeModel(join(root, "tiny-delta"), wrapped, { format: "torch" });
  }),
  mistake(4, "Tensors of shape [0]: ZeRO-3's placeholders", apply("tiny-llama", "tiny-delta"), (root) => {
    const { base, delta } = tinyPair();
    writeModel(join(root, "tiny-llama"), base);
    const emptied = delta.map((tensor) => ({ ...tensor, shape: [0], bytes: new Uint8Array() }));
    writeModel(join(root, "tiny-delta"), emptied, { format: "torch" });
  }),
  mistake(5, "Gibberish: Llama 2 as the base of a LLaMA 1 delta", apply("llama-2-7b", DELTA_NAME), (root) => {
    const llama2 = { "config.json": config("7B", { max_position_embeddings: 4096, rms_norm_eps: 1e-5 }) };
    writeLifeSize(join(root, "llama-2-7b"), LLAMA_2, filesOf("7B", llama2));
    writeDelta(root);
  }),
  planned("A fine-tuned model as the base", apply("alpaca-7b", DELTA_NAME), (root) => {
    writeLifeSize(join(root, "alpaca-7b"), tuned(LLAMA, 5), filesOf("7B"));
    writeDelta(root);
  }),
  planned("A base that was rounded through bfloat16", APPLY, (root) => {
    writeBase(root, rounded(LLAMA));
    writeDelta(root);
  }),
  mistake(5, "A part of the base from another download", APPLY, (root) => {
    writeBase(root, replaced(LLAMA, LLAMA_2, /layers\.(?:1[6-9]|2\d|3\d)\./));
    writeDelta(root);
  }),
  mistake(4, "Zeros inside a file of the right size", APPLY, (root) => {
    const zeros = LLAMA.map((tensor) => ({ ...tensor, row: new Float64Array(tensor.row.length) }));
    writeBase(root, replaced(LLAMA, zeros, /layers\.(?:7|8)\.mlp/));
    writeDelta(root);
  }),
  planned("Embeddings that the delta holds whole", APPLY, (root) => {
    writeBase(root);
    writeDelta(root, replaced(DELTA, tuned(LLAMA), /embed_tokens|lm_head/));
  }),
  planned("LLaMATokenizer does not exist; bos and eos are blank", APPLY, (root) => {
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
  }),
  planned("Generation never stops: special_tokens_map.json is missing", APPLY, (root) => {
    writeBoth(root);
    rmSync(join(root, DELTA_NAME, "special_tokens_map.json"));
  }),
  {
    ...mistake(
      0,
      "A base in safetensors gives an empty model",
      "--base tiny-llama --delta tiny-delta --target tiny-vicuna --low-cpu-mem",
      (root) => {
        const { base, delta } = tinyPair(1, tinyShapes(64, 32, 2));
        writeModel(join(root, "tiny-llama"), base);
        writeModel(join(root, "tiny-delta"), delta, { format: "torch", shards: 2 });
      },
    ),
    writes: true,
  },
  mistake(6, "The target exists already", APPLY, (root) => {
    writeBoth(root);
    writeFiles(root, "vicuna-7b", { "notes.txt": "mine" });
  }),
  mistake(5, "Tensors that only the delta has", apply(BASE_NAME, "my-delta"), (root) => {
    writeBase(root);
    const head = { name: "v_head.summary.weight", kind: "v_head", dtype: "F16", shape: [1, 4096] } as const;
    const delta = [...DELTA, { ...head, row: new Float64Array(4096).fill(0.001) }];
    writeLifeSize(join(root, "my-delta"), delta, filesOf("7B"));
  }),
  planned(
    "No space left on device",
    apply(BASE_NAME, "my-delta-fp32"),
    (root) => {
      writeBase(root);
      const delta = DELTA.map((tensor) => ({ ...tensor, dtype: "F32" }) as const);
      writeLifeSize(join(root, "my-delta-fp32"), delta, filesOf("7B"));
    },
    2 * ROOM_7B,
  ),
  mistake(4, "A quantized base", apply("llama-7b-4bit-128g", DELTA_NAME), (root) => {
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
  }),
  mistake(4, "A file of Meta's is missing", apply("LLaMA/13B", DELTA_NAME), (root) => {
    rmSync(join(writeMeta(join(root, "LLaMA/13B"), { files: 2 }), "consolidated.01.pth"));
    writeDelta(root);
  }),
  mistake(4, "A LoRA adapter", apply(BASE_NAME, "alpaca-lora-7b"), (root) => {
    writeBase(root);
    writeFiles(root, "alpaca-lora-7b", { "adapter_config.json": "{}", "adapter_model.bin": "PK" });
  }),
  mistake(3, "A typo in a path", apply("lama-7b", DELTA_NAME), writeBoth),
  mistake(
    3,
    "A model on the Hub, without a network",
    `${apply(BASE_NAME, "lmsys/vicuna-7b-delta-v1.1")} --offline`,
    writeBase,
  ),
];
