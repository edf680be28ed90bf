/** Files of any length, for models that are made to cost as much as they can. */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { safetensorsOf } from "../support/model-folder.js";
import { encodeNumbers } from "../support/numbers.js";
import { checkpointEntries, long, pickle, storedZip } from "../support/torch-samples.js";

export const count = (full: number, share: number) => Math.floor(full * share);
export const list = (length: number, item: (i: number) => string) =>
  Array.from({ length }, (_, i) => item(i));

/** In place of the folder's weights. */
export function asWeights(delta: string, name: string, bytes: Uint8Array): void {
  for (const other of ["model.safetensors", "pytorch_model.bin", "model.gguf"])
    rmSync(join(delta, other), { force: true });
  writeFileSync(join(delta, name), bytes);
}

export function emptyTensors(length: number, name: (i: number) => string): Buffer {
  const entry = '{"dtype":"F16","shape":[0],"data_offsets":[0,0]}';
  const header = list(length, (i) => `${JSON.stringify(name(i))}:${entry}`);
  return safetensorsOf(`{${header.join()}}`, Buffer.alloc(0));
}

export function shards(delta: string, number: number, length: number): void {
  rmSync(join(delta, "model.safetensors"), { force: true });
  for (let shard = 0; shard < number; shard++)
    writeFileSync(
      join(delta, `${shard}.safetensors`),
      emptyTensors(length, (i) => `t${shard}.${i}`),
    );
}

export const asPickle = (delta: string, ...parts: Parameters<typeof pickle>) =>
  asWeights(delta, "pytorch_model.bin", storedZip(checkpointEntries(pickle(...parts))));

/** Keys whose low 64 bits are the same, which is V8's hash of a bigint. */
export const bigKeys = (length: number) =>
  Buffer.concat(list(length, String).flatMap((i) => [long((BigInt(i) << 64n) + 1n, 16), Buffer.from("N")]));

export const TOKENIZER = (vocab: string, rest = "") => `{"model":{"type":"BPE","vocab":${vocab}${rest}}}`;

interface Numbers {
  readonly name: string;
  readonly values: readonly number[];
}

/** A base, or a delta that fits it: 16 numbers a tensor. */
export const numbersOf = (length: number, side: "base" | "delta"): Numbers[] =>
  Array.from({ length }, (_, i) => ({
    name: `t${i}`,
    values: Array.from({ length: 16 }, (_, at) =>
      side === "base" ? 1 + ((i + at) % 7) / 8 : ((i + at) % 5) / 1024,
    ),
  }));

export const filled = ({ name, values }: Numbers, value: number): Numbers => ({
  name,
  values: values.map(() => value),
});

export function tensorsOf(all: readonly Numbers[]): Buffer {
  const entries = all.map(({ name, values: { length } }, i) => {
    const at = i * length * 2;
    return `"${name}":{"dtype":"F16","shape":[4,${length / 4}],"data_offsets":[${at},${at + length * 2}]}`;
  });
  return safetensorsOf(
    `{${entries.join()}}`,
    encodeNumbers(
      "F16",
      all.flatMap(({ values }) => values),
    ),
  );
}
