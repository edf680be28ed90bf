/** Texts and names made to cost as much as they can: chosen to meet in one bucket, alike for long, deep, of escapes. */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as gguf from "../support/gguf-bytes.js";
import { piece } from "../support/sentencepiece-samples.js";
import { checkpointEntries, stateDict, storedZip, tensor } from "../support/torch-samples.js";
import { asWeights, count, emptyTensors, list } from "./hostile-files.js";

/**
 * Whole numbers below 2^32 with the same low bits. Before 20.20.2, 22.22.2 and 24.14.1 Node.js takes them for the hash
 * of their spelling (CVE-2026-21717), so that all of a Map's keys meet in one bucket.
 */
const alike = (full: number, share: number) => {
  const step = 2 ** Math.floor(Math.log2(2 ** 32 / full));
  return list(count(full, share), (i) => `${i * step}`);
};

const json = (name: string, text: (share: number) => string) => (folder: string, share: number) =>
  writeFileSync(join(folder, name), text(share));

export const TEXTS: Readonly<Record<string, (folder: string, share: number) => void>> = {
  "8 000 tensors named by colliding numbers": (folder, share) => {
    const names = alike(8_000, share);
    asWeights(
      folder,
      "model.safetensors",
      emptyTensors(names.length, (i) => names[i] ?? ""),
    );
  },
  "an index of colliding numbers": (folder, share) => {
    rmSync(join(folder, "model.safetensors"), { force: true });
    const map = alike(1 << 16, share).map((name) => `"${name}":"a"`);
    writeFileSync(join(folder, "model.safetensors.index.json"), `{"weight_map":{${map.join()}}}`);
  },
  "a zip of colliding numbers": (folder, share) => {
    const more = alike(65_000, share).map((name) => ({ name, data: Buffer.alloc(0) }));
    const entries = [...checkpointEntries(stateDict({ a: tensor() })), ...more];
    asWeights(folder, "pytorch_model.bin", storedZip(entries));
  },
  "pieces that are colliding numbers": (folder, share) =>
    writeFileSync(
      join(folder, "tokenizer.model"),
      Buffer.concat(alike(1 << 16, share).map((name) => piece(name))),
    ),
  "a vocabulary of colliding numbers": json("tokenizer.json", (share) => {
    const pairs = alike(1 << 16, share).map((name) => `["${name}",0]`);
    return `{"model":{"vocab":[${pairs.join()}]}}`;
  }),
  "added tokens that are colliding numbers": json("added_tokens.json", (share) => {
    const tokens = alike(1 << 15, share).map((name, i) => `"${name}":${i + 16}`);
    return `{${tokens.join()}}`;
  }),
  "names of 4 kB that begin alike": (folder, share) =>
    asWeights(
      folder,
      "model.safetensors",
      emptyTensors(count(4000, share), (i) => `${i}`.padStart(4096, "n")),
    ),
  "a config of escapes": json("config.json", (share) => `{"a":"${'\\"\\\\'.repeat(count(990_000, share))}"}`),
  "a config of backslashes": json(
    "config.json",
    (share) => `{"a":"${"\\\\".repeat(count(1_990_000, share))}`,
  ),
  "a config of lists in lists": json("config.json", (share) => {
    const deep = `${"[".repeat(60)}1${"]".repeat(60)},`;
    return `{"a":[${deep.repeat(count(1_080, share))}1]}`;
  }),
  "a config of labels on lines": json("config.json", (share) => {
    const labels = list(count(60_000, share), (i) => `    "${i}": "LABEL_${i}"`);
    return `{\n  "id2label": {\n${labels.join(",\n")}\n  }\n}\n`;
  }),
  "a key that stands often": json(
    "config.json",
    (share) => `{${'"a":1,'.repeat(count(130_000, share))}"b":1}`,
  ),
  "a generation_config of one line": json("generation_config.json", (share) => {
    const values = list(count(130_000, share), String);
    return `{"a":[${values.join()}]}`;
  }),
  "a tokenizer_config of 32 000 added tokens": json("tokenizer_config.json", (share) => {
    const tokens = list(count(32_000, share), (i) => `"${i + 16}":{"content":"t${i}"}`);
    return `{"added_tokens_decoder":{${tokens.join()}}}`;
  }),
  "a map of 100 000 special tokens": json("special_tokens_map.json", (share) => {
    const tokens = list(count(100_000, share), (i) => `"t${i}"`);
    return `{"additional_special_tokens":[${tokens.join()}]}`;
  }),
};

export const numberedKeys = (share: number): Buffer =>
  gguf.ggufBytes({ keys: alike(65_000, share).map((name) => gguf.key(name, 7, Buffer.of(1))) });
