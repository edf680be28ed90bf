/** Models made to cost as much as they can: each at the caps, or beyond them, or at a share of that. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as gguf from "../support/gguf-bytes.js";
import { safetensorsOf } from "../support/model-folder.js";
import { bytesField, piece } from "../support/sentencepiece-samples.js";
import {
  assemble,
  checkpointEntries,
  long,
  pickle,
  stateDict,
  storedZip,
  tensor,
  text,
  u32,
} from "../support/torch-samples.js";

/** Changes a delta's folder; `share` of the full size. */
export type Attack = (delta: string, share: number) => void;

const count = (full: number, share: number) => Math.floor(full * share);
const list = (length: number, item: (i: number) => string) => Array.from({ length }, (_, i) => item(i));

/** In place of the folder's weights. */
function asWeights(delta: string, name: string, bytes: Uint8Array): void {
  for (const other of ["model.safetensors", "pytorch_model.bin", "model.gguf"])
    rmSync(join(delta, other), { force: true });
  writeFileSync(join(delta, name), bytes);
}

function emptyTensors(length: number, name: (i: number) => string): Buffer {
  const entry = '{"dtype":"F16","shape":[0],"data_offsets":[0,0]}';
  const header = list(length, (i) => `${JSON.stringify(name(i))}:${entry}`);
  return safetensorsOf(`{${header.join()}}`, Buffer.alloc(0));
}

function shards(delta: string, number: number, length: number): void {
  rmSync(join(delta, "model.safetensors"), { force: true });
  for (let shard = 0; shard < number; shard++)
    writeFileSync(
      join(delta, `${shard}.safetensors`),
      emptyTensors(length, (i) => `t${shard}.${i}`),
    );
}

const asPickle = (delta: string, ...parts: Parameters<typeof pickle>) =>
  asWeights(delta, "pytorch_model.bin", storedZip(checkpointEntries(pickle(...parts))));

/** Keys whose low 64 bits are the same, which is V8's hash of a bigint. */
const bigKeys = (length: number) =>
  Buffer.concat(list(length, String).flatMap((i) => [long((BigInt(i) << 64n) + 1n, 16), Buffer.from("N")]));

const TOKENIZER = (vocab: string, rest = "") => `{"model":{"type":"BPE","vocab":${vocab}${rest}}}`;

export const ATTACKS: Readonly<Record<string, Attack>> = {
  "30 shards of 65 000 tensors": (delta, share) => shards(delta, count(30, share), 65_000),
  "2 shards of 65 000 tensors": (delta, share) => shards(delta, 2, count(65_000, share)),
  "4000 shards": (delta, share) => shards(delta, count(4000, share), 30),
  "names of 1 MB": (delta, share) =>
    asWeights(
      delta,
      "model.safetensors",
      emptyTensors(count(30, share), (i) => `${i}`.padEnd(1e6, "n")),
    ),
  "names of 4 kB": (delta, share) =>
    asWeights(
      delta,
      "model.safetensors",
      emptyTensors(count(4000, share), (i) => `${i}`.padEnd(4096, "n")),
    ),
  "a header of lists": (delta, share) =>
    asWeights(
      delta,
      "model.safetensors",
      safetensorsOf(`{"a":[${"[],".repeat(count(9e6, share))}1]}`, Buffer.alloc(0)),
    ),
  "a header of space": (delta, share) =>
    asWeights(
      delta,
      "model.safetensors",
      safetensorsOf(`{${" ".repeat(count(33e6, share))}}`, Buffer.alloc(0)),
    ),
  "a header of é": (delta, share) =>
    asWeights(
      delta,
      "model.safetensors",
      safetensorsOf(`{"__metadata__":{"a":"${"é".repeat(count(15e6, share))}中"}}`, Buffer.alloc(0)),
    ),
  "an index of 500 000 files": (delta, share) => {
    rmSync(join(delta, "model.safetensors"), { force: true });
    const map = list(count(5e5, share), (i) => `"t${i}":"${i}"`).join();
    writeFileSync(join(delta, "model.safetensors.index.json"), `{"weight_map":{${map}}}`);
  },
  "a pickle of empty lists": (delta, share) => asPickle(delta, Buffer.alloc(count(500_000, share), "]")),
  "a pickle of strings": (delta, share) =>
    asPickle(delta, Buffer.concat(list(count(500_000, share), (i) => `${i}`.padEnd(20)).map(text))),
  "a dict of colliding bigints": (delta, share) => asPickle(delta, "}(", bigKeys(count(180_000, share)), "u"),
  "memo entries far apart": (delta, share) =>
    asPickle(
      delta,
      "N",
      Buffer.concat(list(count(240_000, share), String).map((i) => assemble("r", u32(Number(i) * 2 + 1)))),
    ),
  "a zip of 65 000 entries": (delta, share) =>
    asWeights(
      delta,
      "pytorch_model.bin",
      storedZip([
        ...checkpointEntries(stateDict({ a: tensor() })),
        ...list(count(65_000, share), String).map((i) => ({
          name: `archive/data/x${i}`,
          data: Buffer.alloc(0),
        })),
      ]),
    ),
  "a GGUF of strings": (delta, share) => {
    const length = count(4e6, share);
    const strings = Buffer.concat([gguf.u32(8), gguf.u64(length), Buffer.alloc(8 * length)]);
    asWeights(delta, "model.gguf", gguf.ggufBytes({ keys: [gguf.key("a", 9, strings)] }));
  },
  "a config of objects on one line": (delta, share) =>
    writeFileSync(join(delta, "config.json"), `{"a":[${"{},".repeat(count(130_000, share))}1]}`),
  "a config with 20 000 labels on one line": (delta, share) => {
    const labels = list(count(20_000, share), (i) => `"${i}":"LABEL_${i}"`).join();
    writeFileSync(join(delta, "config.json"), `{"id2label":{${labels}},"vocab_size":16}`);
  },
  "a tokenizer.json of 3 million tokens": (delta, share) => {
    const vocab = list(count(3e6, share), (i) => `"t${i}":${i}`).join();
    writeFileSync(join(delta, "tokenizer.json"), TOKENIZER(`{${vocab}}`));
  },
  "a tokenizer.json as large as Gemma 3's": (delta, share) => {
    const vocab = list(count(262_000, share), (i) => `"t${i}":${i}`).join();
    const merges = list(count(515_000, share), (i) => `["a${i}","b"]`).join();
    writeFileSync(join(delta, "tokenizer.json"), TOKENIZER(`{${vocab}}`, `,"merges":[${merges}]`));
  },
  "a tokenizer.model of 500 000 pieces": (delta, share) =>
    writeFileSync(
      join(delta, "tokenizer.model"),
      Buffer.concat(list(count(500_000, share), (i) => `p${i}`).map((name) => piece(name))),
    ),
  "a tokenizer.model whose spec comes in a million parts": (delta, share) =>
    writeFileSync(
      join(delta, "tokenizer.model"),
      Buffer.concat([
        piece("a"),
        ...Array.from({ length: count(1e6, share) }, () => bytesField(3, bytesField(9, "12345678"))),
      ]),
    ),
  "added tokens without end": (delta, share) =>
    writeFileSync(
      join(delta, "added_tokens.json"),
      `{${list(count(200_000, share), (i) => `"t${i}":${i + 16}`).join()}}`,
    ),
};

/** A folder that is one. */
export function remake(folder: string): string {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  return folder;
}
