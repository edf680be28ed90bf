/**
 * Files made to harm their reader. A name is the error it must give, two dashes, and what it tries; a folder lies over
 * a model's, which is whole without it. `make.ts` writes them to `test/failure/files`.
 */
import { deflateRawSync } from "node:zlib";
import { safetensorsOf } from "../support/model-folder.js";
import { varint } from "../support/sentencepiece-samples.js";
import {
  assemble,
  checkpointEntries,
  globalName,
  legacyStream,
  long,
  pickle,
  stateDict,
  storedZip,
  tensor,
  text,
  tuple,
  u16,
  u32,
  u64,
} from "../support/torch-samples.js";

type Content = Buffer | string;
export type Sample = Content | Readonly<Record<string, Content>>;

const DATA = Buffer.alloc(8);
/** Zeros, a thousand times as many when they are inflated. */
const BOMB = deflateRawSync(Buffer.alloc(16_000_000));
const entry = (shape: string, offsets = "[0,8]") =>
  `{"dtype":"F16","shape":${shape},"data_offsets":${offsets}}`;
const header = (json: string) => safetensorsOf(json, DATA);
const checkpoint = (pkl: Buffer) => storedZip(checkpointEntries(pkl));
const weight = (value: Buffer) => checkpoint(stateDict({ weight: value }));

/** One entry of a checkpoint with a field that is wrong. */
const oddEntry = (at: 0 | 1, change: Partial<ReturnType<typeof checkpointEntries>[number]>) =>
  storedZip(
    checkpointEntries(stateDict({ weight: tensor() })).map((item, i) =>
      i === at ? { ...item, ...change } : item,
    ),
  );

const more = (item: { name: string; data: Buffer }) =>
  storedZip([...checkpointEntries(stateDict({ weight: tensor() })), item]);

const persistent = (...parts: (string | number | Buffer)[]) => checkpoint(pickle(...parts, "Q"));
const zip64 = (...values: bigint[]) => assemble(u16(1), u16(8 * values.length), ...values.map(u64));

/** A checkpoint with zip64 end records in front of the end record, which says that they count. */
function zip64End(directoryOffset: bigint, entryCount: bigint, locator: bigint): Buffer {
  const record = assemble("PK\x06\x06", u64(44n), u16(45), u16(45), u32(0), u32(0));
  const rest = assemble(u64(entryCount), u64(entryCount), u64(entryCount * 60n), u64(directoryOffset));
  const before = assemble(record, rest, "PK\x06\x07", u32(0), u64(locator), u32(1));
  const entries = checkpointEntries(stateDict({ weight: tensor() }));
  return storedZip(entries, { entryCount: 0xffff, directoryOffset: 0xffffffff, before });
}

/** Lists of ten times the list before: 10^levels items to whoever walks them, and nothing to whoever doesn't. */
function memoBomb(levels: number): Buffer {
  const level = (i: number) => assemble("](", ...Array<Buffer>(10).fill(assemble("h", i)), "eq", i + 1);
  return pickle("(]q", 0, ...Array.from({ length: levels }, (_, i) => level(i)), "t");
}

const index = (shard: string) => JSON.stringify({ metadata: {}, weight_map: { "model.norm.weight": shard } });
const outside = (shard: string) => ({ "model.safetensors.index.json": index(shard) });
const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
const config = (fields: string) => ({ "config.json": `{"model_type":"llama",${fields}}` });
const pieces = (...fields: Uint8Array[]) => ({ "tokenizer.model": Buffer.concat(fields) });

export const SAMPLES: Readonly<Record<string, Sample>> = {
  // safetensors
  "header-too-long--claims-2-to-the-64.safetensors": safetensorsOf("{}", DATA, (1n << 64n) - 1n),
  "truncated-file--header-beyond-the-end.safetensors": safetensorsOf("{}", DATA, 99_999_999n),
  "header-malformed--deep-nesting.safetensors": header(`{"a":${nested(10_000)}}`),
  "header-malformed--proto-metadata.safetensors": header('{"__metadata__":{"__proto__":{"polluted":"x"}}}'),
  "header-malformed--proto-as-entry-field.safetensors": header(
    `{"a":{"__proto__":{"dtype":"F16"},"shape":[4],"data_offsets":[0,8]}}`,
  ),
  "wrong-size--proto-as-name.safetensors": header(`{"__proto__":${entry("[5]")}}`),
  "duplicate-tensor--two-spellings.safetensors": header(`{"a":${entry("[4]")},"\\u0061":${entry("[4]")}}`),
  "header-malformed--extents-overflow.safetensors": header(
    `{"a":${entry("[9007199254740991,9007199254740991,9007199254740991]")}}`,
  ),
  "header-malformed--rank-10000.safetensors": header(`{"a":${entry(`[${"1,".repeat(9_999)}4]`)}}`),
  "header-malformed--extent-is-1e3.safetensors": header(`{"a":${entry("[1e3]")}}`),
  "header-malformed--lone-surrogate.safetensors": header(`{"\\ud800":${entry("[4]")}}`),
  "header-malformed--bom.safetensors": header(`\ufeff{"a":${entry("[4]")}}`),
  "wrong-size--escape-sequences-in-name.safetensors": header(
    `{"\\u001b[2J\\u001b]0;x\\u0007\\u009b":${entry("[5]")}}`,
  ),
  "data-overlap--two-in-one.safetensors": header(`{"a":${entry("[4]")},"b":${entry("[4]")}}`),

  // pickles
  "pickle-global--os-system.bin": checkpoint(
    pickle(globalName("os", "system"), text("touch /tmp/x"), 0x85, "R"),
  ),
  "pickle-global--posix-system-by-stack-global.bin": checkpoint(pickle(text("posix"), text("system"), 0x93)),
  "pickle-global--builtins-eval.bin": checkpoint(
    pickle(globalName("builtins", "eval"), text("1"), 0x85, "R"),
  ),
  "pickle-global--torch-load.bin": checkpoint(pickle(globalName("torch", "load"))),
  "pickle-global--dotted-name.bin": checkpoint(
    pickle(globalName("torch._utils", "_rebuild_tensor_v2.__globals__")),
  ),
  "pickle-global--proto-of-the-list.bin": checkpoint(pickle(globalName("__proto__", "constructor"))),
  "pickle-opcode--inst.bin": checkpoint(pickle("(i", "os\nsystem\n")),
  "pickle-opcode--obj.bin": checkpoint(pickle("(", globalName("collections", "OrderedDict"), "o")),
  "pickle-opcode--newobj.bin": checkpoint(pickle(globalName("collections", "OrderedDict"), ")", 0x81)),
  "pickle-opcode--ext1.bin": checkpoint(pickle(0x82, 1)),
  "pickle-opcode--long4.bin": checkpoint(pickle(0x8b, u32(0x7fffffff))),
  "pickle-malformed--build-on-a-list.bin": checkpoint(pickle("]}", text("__proto__"), "}sb")),
  "pickle-malformed--build-on-a-function.bin": checkpoint(
    pickle(globalName("torch._utils", "_rebuild_tensor_v2"), "}b"),
  ),
  "not-a-state-dict--lists-10000-deep-under-proto.bin": checkpoint(
    pickle(
      assemble(globalName("collections", "OrderedDict"), ")R"),
      text("__proto__"),
      assemble("]".repeat(10_000), "a".repeat(9_999)),
      "s",
    ),
  ),
  "pickle-malformed--reduce-nested-1000-deep.bin": checkpoint(
    pickle(
      ...Array<Buffer>(1000).fill(globalName("collections", "OrderedDict")),
      ")",
      ...Array<Buffer>(1000).fill(assemble("R", 0x85)),
    ),
  ),
  "pickle-malformed--list-in-itself-as-key.bin": checkpoint(pickle("}", "]q", 0, "h", 0, "ah", 0, "N", "s")),
  "not-a-state-dict--list-in-itself.bin": checkpoint(pickle("]q", 0, "h", 0, "a")),
  "not-a-state-dict--memo-bomb.bin": checkpoint(memoBomb(60)),
  "pickle-malformed--memo-never-set.bin": checkpoint(pickle("j", u32(0xffffffff))),
  "pickle-malformed--text-beyond-the-end.bin": checkpoint(pickle("X", u32(0xfffffff0))),
  "pickle-malformed--id-is-an-integer.bin": persistent("K", 1),
  "pickle-malformed--id-is-a-list.bin": persistent("]"),
  "pickle-malformed--id-is-a-short-tuple.bin": persistent(tuple(text("storage"))),
  "pickle-malformed--id-names-a-function.bin": persistent(
    tuple(text("storage"), globalName("torch._utils", "_rebuild_tensor_v2"), text("0"), text("cpu"), "K", 4),
  ),
  "pickle-malformed--id-with-a-float-size.bin": persistent(
    tuple(text("storage"), globalName("torch", "HalfStorage"), text("0"), text("cpu"), "G", Buffer.alloc(8)),
  ),
  "pickle-malformed--id-with-a-negative-size.bin": persistent(
    tuple(text("storage"), globalName("torch", "HalfStorage"), text("0"), text("cpu"), long(-4n)),
  ),
  "pickle-malformed--id-is-a-tensor.bin": checkpoint(pickle(tensor(), "Q")),
  "storage-missing--key-leads-outside.bin": weight(tensor({ key: "../../../etc/passwd" })),
  "duplicate-tensor--a-key-twice.bin": checkpoint(
    pickle("}(", text("w"), tensor(), text("w"), tensor(), "u"),
  ),

  // views
  "view-out-of-bounds--one-element-as-10-to-the-15.bin": storedZip(
    checkpointEntries(
      stateDict({ weight: tensor({ numel: 1, shape: [1_000_000_000, 1_000_000], strides: [0, 0] }) }),
      { "0": Buffer.alloc(2) },
    ),
  ),
  "view-out-of-bounds--small-repeats-add-up.bin": storedZip(
    checkpointEntries(
      stateDict(
        Object.fromEntries(
          Array.from({ length: 40 }, (_, i) => [
            `w${i}`,
            tensor({ numel: 1, shape: [2 ** 29], strides: [0] }),
          ]),
        ),
      ),
      { "0": Buffer.alloc(2) },
    ),
  ),
  "view-out-of-bounds--rank-1000.bin": weight(
    tensor({ shape: Array(1000).fill(1), strides: Array(1000).fill(0) }),
  ),
  "view-out-of-bounds--negative-stride.bin": weight(tensor({ offset: 3, strides: [-1] })),
  "view-out-of-bounds--offset-of-2-to-the-64.bin": weight(tensor({ offset: 1n << 64n })),
  "view-out-of-bounds--one-past-the-end.bin": weight(tensor({ offset: 1 })),
  "storage-size--huge-storage-in-a-small-entry.bin": weight(tensor({ numel: 2 ** 40, shape: [2 ** 40] })),

  // zips
  "zip-entry-compressed--deflated-pickle.bin": oddEntry(0, { method: 8 }),
  "zip-entry-compressed--bomb-of-4-gb.bin": oddEntry(0, {
    ...{ method: 8, data: BOMB, directory: { expandedLength: 0xfffffffe } },
  }),
  "zip-malformed--bomb-of-1000-entries-in-one.bin": storedZip([
    { name: "archive/data.pkl", data: stateDict({ weight: tensor() }) },
    { name: "archive/data/0", data: BOMB, method: 8 },
    ...Array.from({ length: 1000 }, (_, i) => ({
      ...{ name: `archive/data/${i + 1}`, data: Buffer.alloc(0), method: 8 },
      directory: { headerOffset: 0, byteLength: BOMB.length, expandedLength: 0xfffffffe },
    })),
  ]),
  "zip-malformed--encrypted.bin": oddEntry(0, { flags: 0x801 }),
  "zip-malformed--data-pkl-twice.bin": more({ name: "archive/data.pkl", data: pickle("}") }),
  "zip-malformed--overlapping-entries.bin": oddEntry(1, { directory: { headerOffset: 0 } }),
  "zip-malformed--entry-inside-another.bin": oddEntry(1, { directory: { byteLength: 40 } }),
  "zip-malformed--local-header-lies-about-the-name.bin": oddEntry(1, { localName: "archive/data/1" }),
  "zip-malformed--zip64-size-beyond-the-end.bin": oddEntry(1, {
    directory: { byteLength: 0xffffffff, extra: zip64(1n << 40n, 1n << 40n) },
  }),
  "zip-malformed--zip64-size-beyond-2-to-the-53.bin": oddEntry(1, {
    directory: { byteLength: 0xffffffff, extra: zip64((1n << 64n) - 1n, (1n << 64n) - 1n) },
  }),
  "zip-malformed--zip64-size-missing.bin": oddEntry(1, { directory: { byteLength: 0xffffffff } }),
  "zip-malformed--zip64-end-points-beyond.bin": zip64End(1n << 50n, 3n, 1n << 50n),
  "zip-malformed--backslash.bin": more({ name: "archive\\data\\1", data: DATA }),
  "zip-malformed--dot-dot.bin": more({ name: "archive/../../evil", data: DATA }),
  "zip-malformed--absolute.bin": more({ name: "/etc/passwd", data: DATA }),
  "zip-malformed--second-name-in-the-extra-field.bin": oddEntry(1, {
    directory: { extra: assemble(u16(0x7075), u16(6), 1, u32(0), "x") },
  }),
  "foreign-format--nul-in-name.bin": more({ name: "archiv\u0000e/data/1", data: DATA }),
  "foreign-format--folders-that-look-alike.bin": storedZip([
    { name: "\u00e9/data.pkl", data: stateDict({ weight: tensor() }) },
    { name: "e\u0301/data/0", data: DATA },
  ]),
  "big-endian--of-1000-bytes.bin": more({ name: "archive/byteorder", data: Buffer.alloc(1000, "little") }),

  // legacy streams
  "storage-missing--legacy-without-keys.bin": legacyStream({ keys: pickle("]") }),
  "pickle-malformed--legacy-view-outside.bin": legacyStream({
    object: stateDict({ weight: tensor({ legacyView: tuple(text("v"), "K", 3, "K", 9) }) }),
  }),
  "storage-size--legacy-negative-count.bin": legacyStream({ data: assemble(u64((1n << 64n) - 4n), DATA) }),
  "truncated-file--legacy-storage-of-2-to-the-50.bin": legacyStream({
    object: stateDict({ weight: tensor({ numel: 2 ** 50, legacyView: assemble("N") }) }),
  }),

  // shard indexes
  "shard-outside-folder--dot-dot": outside("../outside/model.safetensors"),
  "shard-outside-folder--absolute": outside("/etc/passwd"),
  "shard-outside-folder--windows": outside("..\\model.safetensors"),
  "shard-outside-folder--nul": outside("model.safetensors\u0000.bin"),
  "shard-missing--twin-of-another-spelling": outside("mode\u0301l.safetensors"),
  "source-unreadable--name-of-5000-characters": outside("x".repeat(5000)),
  "index-malformed--proto-as-map": {
    "model.safetensors.index.json": '{"__proto__":{"weight_map":{"a":"model.safetensors"}}}',
  },
  "index-malformed--deep-nesting": { "model.safetensors.index.json": `{"weight_map":${nested(10_000)}}` },
  "index-malformed--bom": { "model.safetensors.index.json": `\ufeff${index("model.safetensors")}` },
  "tensor-missing-in-shard--proto": {
    "model.safetensors.index.json": '{"weight_map":{"__proto__":"model-00001-of-00002.safetensors"}}',
  },

  // config and tokenizer
  "bad-json--config-deep-nesting": config(`"vocab_size":7,"x":${nested(10_000)}`),
  "bad-json--config-bom": { "config.json": '\ufeff{"model_type":"llama"}' },
  "bad-json--vocab-size-1e400": config('"vocab_size":1e400'),
  "bad-json--vocab-size-negative": config('"vocab_size":-1'),
  "bad-json--vocab-size-1.5": config('"vocab_size":1.5'),
  "bad-json--vocab-size-twice": config('"vocab_size":7,"vocab_size":8'),
  "bad-json--wrong-items-without-end": config(`"architectures":[${"1,".repeat(5_000)}1]`),
  "bad-json--many-architectures": config(`"architectures":[${'"LLaMA",'.repeat(5_000)}"x"]`),
  "bad-json--generation-config-is-a-list": { "generation_config.json": "[]" },
  "bad-json--added-token-far-away": { "added_tokens.json": '{"[PAD]":4294967296}' },
  "bad-json--added-token-proto": { "added_tokens.json": '{"__proto__":{"polluted":1}}' },
  "bad-json--tokenizer-json-deep-nesting": {
    "tokenizer.json": `{"model":{"vocab":{"a":0}},"x":${'{"a":'.repeat(5_000)}1${"}".repeat(5_000)}}`,
  },
  "lfs-pointer--for-the-tokenizer": { "tokenizer.model": "version https://git-lfs.github.com/spec/v1\n" },
  "tokenizer-malformed--length-of-2-to-the-63": pieces(varint(10), varint(1n << 63n)),
  "tokenizer-malformed--varint-without-end": pieces(Buffer.alloc(1000, 0x80)),
  "tokenizer-malformed--length-just-too-long": pieces(varint(10), varint(4), Buffer.from("\n\x01a")),
};
