/**
 * Models and targets made to cost as much as they can: each at the caps, or beyond them, or at a share of that. The table
 * is walked by steps.slow.ts at a small share, counting steps, and by hostile-run.ts at the caps, looking at the process.
 */
import { mkdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { JOURNAL, LOCK } from "../../src/target/target.js";
import * as gguf from "../support/gguf-bytes.js";
import { safetensorsOf } from "../support/model-folder.js";
import { bytesField, piece } from "../support/sentencepiece-samples.js";
import {
  assemble,
  checkpointEntries,
  stateDict,
  storedZip,
  tensor,
  text,
  u32,
} from "../support/torch-samples.js";
import {
  asPickle,
  asWeights,
  bigKeys,
  count,
  emptyTensors,
  filled,
  list,
  numbersOf,
  shards,
  TOKENIZER,
  tensorsOf,
} from "./hostile-files.js";
import { numberedKeys, TEXTS } from "./hostile-texts.js";

export interface Models {
  readonly base: string;
  readonly delta: string;
  /** Where a merge would make it. */
  readonly target: string;
}

/** Changes a model's folder; `share` of the full size. */
type Change = (folder: string, share: number, side: "base" | "delta") => void;

/** Changes what a command reads. */
export type Attack = (models: Models, share: number) => void;

/** Both models at once, so that both are at their caps. */
const onBoth =
  (change: Change): Attack =>
  (models, share) => {
    for (const side of ["base", "delta"] as const) change(models[side], share, side);
  };

const MODELS: Readonly<Record<string, Change>> = {
  ...TEXTS,
  "30 shards of 8 000 tensors": (folder, share) => shards(folder, Math.max(1, count(30, share)), 8_000),
  "2 shards of 8 000 tensors": (folder, share) => shards(folder, 2, count(8_000, share)),
  "4000 shards": (folder, share) => shards(folder, count(4000, share), 30),
  "names of 1 MB": (folder, share) =>
    asWeights(
      folder,
      "model.safetensors",
      emptyTensors(count(30, share), (i) => `${i}`.padEnd(1e6, "n")),
    ),
  "names of 4 kB": (folder, share) =>
    asWeights(
      folder,
      "model.safetensors",
      emptyTensors(count(4000, share), (i) => `${i}`.padEnd(4096, "n")),
    ),
  "a header of lists": (folder, share) =>
    asWeights(
      folder,
      "model.safetensors",
      safetensorsOf(`{"a":[${"[],".repeat(count(9e6, share))}1]}`, Buffer.alloc(0)),
    ),
  "a header of space": (folder, share) =>
    asWeights(
      folder,
      "model.safetensors",
      safetensorsOf(`{${" ".repeat(count(33e6, share))}}`, Buffer.alloc(0)),
    ),
  "a header of é": (folder, share) =>
    asWeights(
      folder,
      "model.safetensors",
      safetensorsOf(`{"__metadata__":{"a":"${"é".repeat(count(15e6, share))}中"}}`, Buffer.alloc(0)),
    ),
  "an index of 500 000 files": (folder, share) => {
    rmSync(join(folder, "model.safetensors"), { force: true });
    const map = list(count(5e5, share), (i) => `"t${i}":"${i}"`).join();
    writeFileSync(join(folder, "model.safetensors.index.json"), `{"weight_map":{${map}}}`);
  },
  "a pickle of empty lists": (folder, share) => asPickle(folder, Buffer.alloc(count(500_000, share), "]")),
  "a pickle of strings": (folder, share) =>
    asPickle(folder, Buffer.concat(list(count(500_000, share), (i) => `${i}`.padEnd(20)).map(text))),
  "a dict of colliding bigints": (folder, share) =>
    asPickle(folder, "}(", bigKeys(count(180_000, share)), "u"),
  "memo entries far apart": (folder, share) =>
    asPickle(
      folder,
      "N",
      Buffer.concat(list(count(240_000, share), String).map((i) => assemble("r", u32(Number(i) * 2 + 1)))),
    ),
  "a zip of 65 000 entries": (folder, share) =>
    asWeights(
      folder,
      "pytorch_model.bin",
      storedZip([
        ...checkpointEntries(stateDict({ a: tensor() })),
        ...list(count(65_000, share), String).map((i) => ({
          name: `archive/data/x${i}`,
          data: Buffer.alloc(0),
        })),
      ]),
    ),
  "a config of objects on one line": (folder, share) =>
    writeFileSync(join(folder, "config.json"), `{"a":[${"{},".repeat(count(130_000, share))}1]}`),
  "a config with 20 000 labels on one line": (folder, share) => {
    const labels = list(count(20_000, share), (i) => `"${i}":"LABEL_${i}"`).join();
    writeFileSync(join(folder, "config.json"), `{"id2label":{${labels}},"vocab_size":16}`);
  },
  "a tokenizer.json of 3 million tokens": (folder, share) => {
    const vocab = list(count(3e6, share), (i) => `"t${i}":${i}`).join();
    writeFileSync(join(folder, "tokenizer.json"), TOKENIZER(`{${vocab}}`));
  },
  "a tokenizer.json of 300 000 tokens": (folder, share, side) => {
    const vocab = list(count(300_000, share), (i) => `"t${i}":${(i + side.length) % 300_000}`).join();
    writeFileSync(join(folder, "tokenizer.json"), TOKENIZER(`{${vocab}}`));
  },
  "a tokenizer.json of 650 000 added tokens": (folder, share) => {
    const added = list(count(650_000, share), (i) => `{"id":${i},"content":"a"}`).join();
    writeFileSync(join(folder, "tokenizer.json"), `{"added_tokens":[${added}],"model":{"vocab":{}}}`);
  },
  "a tokenizer.json as large as Gemma 3's": (folder, share) => {
    const vocab = list(count(262_000, share), (i) => `"t${i}":${i}`).join();
    const merges = list(count(515_000, share), (i) => `["a${i}","b"]`).join();
    writeFileSync(join(folder, "tokenizer.json"), TOKENIZER(`{${vocab}}`, `,"merges":[${merges}]`));
  },
  "a tokenizer.model of 300 000 pieces": (folder, share) =>
    writeFileSync(
      join(folder, "tokenizer.model"),
      Buffer.concat(list(count(300_000, share), (i) => `p${i}`).map((name) => piece(name))),
    ),
  "a tokenizer.model whose spec comes in a million parts": (folder, share) =>
    writeFileSync(
      join(folder, "tokenizer.model"),
      Buffer.concat([
        piece("a"),
        ...Array.from({ length: count(1e6, share) }, () => bytesField(3, bytesField(9, "12345678"))),
      ]),
    ),
  "a tokenizer.model whose spec has eight million fields": (folder, share) =>
    writeFileSync(
      join(folder, "tokenizer.model"),
      Buffer.concat([piece("a"), bytesField(2, Buffer.alloc(count(16e6, share), Buffer.of(8, 1)))]),
    ),
  "added tokens without end": (folder, share) =>
    writeFileSync(
      join(folder, "added_tokens.json"),
      `{${list(count(200_000, share), (i) => `"t${i}":${i + 16}`).join()}}`,
    ),
  "8 000 tensors of numbers": (folder, share, side) =>
    asWeights(folder, "model.safetensors", tensorsOf(numbersOf(count(8_000, share), side))),
  "8 000 tensors of NaN": (folder, share, side) => {
    const bad = side === "base" ? Number.NaN : 1;
    asWeights(
      folder,
      "model.safetensors",
      tensorsOf(numbersOf(count(8_000, share), side).map((tensor) => filled(tensor, bad))),
    );
  },
  "another model's tensors beside NaN": (folder, share, side) => {
    rmSync(join(folder, "model.safetensors"), { force: true });
    const tensors = numbersOf(count(8_000, share), side);
    const middle = tensors.length >> 1;
    const nan = tensors.slice(0, middle).map((tensor) => filled(tensor, Number.NaN));
    const other = tensors.slice(middle).map((tensor) => filled(tensor, 1 / 3));
    for (const [i, part] of (side === "base"
      ? [nan, other]
      : [tensors.slice(0, middle), tensors.slice(middle)]
    ).entries())
      writeFileSync(join(folder, `${i}.safetensors`), tensorsOf(part));
  },
  "heads that replace the base's": (folder, share, side) => {
    const tensors = numbersOf(count(8_000, share), side);
    const heads = numbersOf(tensors.length, "base").map((tensor) => ({
      ...tensor,
      name: `${tensor.name}.lm_head.weight`,
    }));
    asWeights(folder, "model.safetensors", tensorsOf([...tensors, ...heads]));
  },
  "keys of 1 MB in a config": (folder, share, side) =>
    writeFileSync(
      join(folder, "config.json"),
      `{"${"k".repeat(count(1e6, share))}":[${list(count(1000, share), (i) => `${i}.${side.length}`).join()}]}`,
    ),
  "a params.json of a million values": (folder, share) => {
    const values = list(count(1e6, share), String).join();
    writeFileSync(
      join(folder, "params.json"),
      `{"dim":8,"n_layers":1,"n_heads":2,"norm_eps":1e-5,"a":[${values}]}`,
    );
    const queries = "layers.0.attention.wq.weight";
    asWeights(
      folder,
      "consolidated.00.pth",
      storedZip(checkpointEntries(stateDict({ [queries]: tensor() }))),
    );
  },
};

const asGguf = (folder: string, parts: gguf.GgufParts) =>
  asWeights(folder, "model.gguf", gguf.ggufBytes(parts));

/** An array that is a key's value; all bytes of its items are zero. */
const ggufArray = (type: number, length: number, itemBytes: number) =>
  gguf.key("a", 9, gguf.u32(type), gguf.u64(length), Buffer.alloc(itemBytes * length));

/** What reads a GGUF: as base or delta it is refused by its first bytes. */
const GGUFS: Readonly<Record<string, Change>> = {
  "a GGUF of strings": (folder, share) => asGguf(folder, { keys: [ggufArray(8, count(4e6, share), 8)] }),
  "a GGUF of numbers": (folder, share) => asGguf(folder, { keys: [ggufArray(0, count(30e6, share), 1)] }),
  "a GGUF of 65 000 keys": (folder, share) =>
    asGguf(folder, { keys: list(count(65_000, share), String).map((i) => gguf.key(i, 7, Buffer.of(1))) }),
  "a GGUF of colliding keys": (folder, share) => asWeights(folder, "model.gguf", numberedKeys(share)),
  "a GGUF of 65 000 tensors": (folder, share) =>
    asGguf(folder, { tensors: list(count(65_000, share), String).map((i) => gguf.tensor(i, [0])) }),
};

/** What `verify` reads of a target. */
const TARGETS: Readonly<Record<string, Change>> = {
  "SHA256SUMS of 16 MB": (folder, share) =>
    writeFileSync(
      join(folder, "SHA256SUMS"),
      list(count(200_000, share), (i) => `${"0".repeat(64)}  f${i}\n`).join(""),
    ),
  "SHA256SUMS of empty lines": (folder, share) =>
    writeFileSync(join(folder, "SHA256SUMS"), Buffer.alloc(count(16e6, share), "\n")),
  "a record of lists": (folder, share) =>
    writeFileSync(join(folder, "vicuna-apply-delta.json"), `[${"[],".repeat(count(5e6, share))}1]`),
  "a record of files": (folder, share) =>
    writeFileSync(
      join(folder, "vicuna-apply-delta.json"),
      `{"target":{"weights":[${list(count(60_000, share), (i) => `{"name":"f${i}"}`).join()}]}}`,
    ),
};

const HEAD = '{"fingerprint":{}}\n';
const HOLDER = JSON.stringify({ pid: 1, host: "h", place: "p", started: null, thread: 0, id: "i" });

/** What a merge finds in its staging folder. */
const STAGINGS: Readonly<Record<string, (folder: string, share: number) => void>> = {
  "a journal of empty lines": (folder, share) =>
    writeFileSync(join(folder, JOURNAL), HEAD + "\n".repeat(count(32_000, share))),
  "a journal of long lists": (folder, share) => {
    const line = `{"files":[${Array(100_000).fill('"a"').join()}]}\n`;
    writeFileSync(join(folder, JOURNAL), HEAD + line.repeat(Math.max(1, count(9, share))));
  },
  "a journal of shards": (folder, share) =>
    writeFileSync(
      join(folder, JOURNAL),
      HEAD + list(count(32_000, share), (i) => `{"files":["f${i}"]}\n`).join(""),
    ),
  "a journal of 1e9 parts": (folder, share) =>
    writeFileSync(
      join(folder, JOURNAL),
      `{"fingerprint":{},"parts":{"count":${count(1e9, share)},"options":{}}}\n`,
    ),
  "a lock of 1 GB": (folder, share) => {
    writeFileSync(join(folder, JOURNAL), HEAD);
    writeFileSync(join(folder, LOCK), HOLDER);
    truncateSync(join(folder, LOCK), count(1e9, share));
  },
};

export type Command = "plan" | "verify" | "compare" | "inspect" | "apply";

const named = <T>(attacks: Readonly<Record<string, T>>, command: Command, asAttack: (attack: T) => Attack) =>
  Object.entries(attacks).map(([name, attack]) => ({ name, command, attack: asAttack(attack) }));

/** Every attack, with the command that meets it. */
export const ATTACKS: readonly {
  readonly name: string;
  readonly command: Command;
  readonly attack: Attack;
}[] = [
  ...named(MODELS, "plan", onBoth),
  ...["8 000 tensors of numbers", "keys of 1 MB in a config", "a tokenizer.json of 300 000 tokens"].flatMap(
    (name) =>
      (["compare", "inspect"] as const).map((command) => ({
        name: `${command}: ${name}`,
        command,
        attack: onBoth(MODELS[name] as Change),
      })),
  ),
  ...(["inspect", "compare", "verify"] as const).flatMap((command) => named(GGUFS, command, onBoth)),
  ...named(TARGETS, "verify", (change) => (models, share) => change(models.delta, share, "delta")),
  ...named(
    STAGINGS,
    "apply",
    (change) => (models, share) => change(remake(`${models.target}.incomplete`), share),
  ),
];

/** A folder that is one. */
export function remake(folder: string): string {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  return folder;
}
