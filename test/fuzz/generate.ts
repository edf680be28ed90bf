/** Files that are right in form and arbitrary in content: what bytes that are changed blindly hardly ever reach. */
import fc from "fast-check";
import { DTYPES } from "../../src/tensor.js";
import { anyCharacter } from "../support/any-character.js";
import { safetensorsOf } from "../support/model-folder.js";
import {
  bytesField,
  NORMALIZER_SPEC,
  piece,
  trainerSpec,
  varintField,
} from "../support/sentencepiece-samples.js";
import {
  assemble,
  checkpointEntries,
  globalName,
  legacyStream,
  long,
  pickle,
  storedZip,
  tensor,
  text,
  u32,
} from "../support/torch-samples.js";
import { HOSTILE_TEXTS } from "./mutate.js";

type Bytes = fc.Arbitrary<Buffer>;

const name = fc.oneof(
  fc.constantFrom(...HOSTILE_TEXTS, "weight", "model.embed_tokens.weight", "lm_head.weight", "state_dict"),
  fc.string({ unit: anyCharacter, maxLength: 20 }),
);

const extent = fc.oneof(
  fc.integer({ min: 0, max: 8 }),
  fc.constantFrom(-1, 1.5, 2 ** 31, 2 ** 53 - 1, 2 ** 53, 1e300),
);
const extents = fc.array(extent, { maxLength: 4 });

/** Any JSON, sometimes deep, and never with the same shape as what is asked for. */
const oddJson = fc.oneof(
  fc.json({ maxDepth: 4 }),
  fc.integer({ min: 1, max: 5000 }).map((depth) => "[".repeat(depth) + "]".repeat(depth)),
  fc.integer({ min: 1, max: 5000 }).map((depth) => `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`),
  fc.constantFrom("1e400", "-1", "1.5", "-0", "9007199254740993", "\ufeff{}", "NaN", '"\\ud800"'),
);

/** An object as text: keys may stand twice, values are JSON texts. */
const objectOf = (key: fc.Arbitrary<string>, value: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc
    .array(fc.tuple(key, value), { maxLength: 8 })
    .map((entries) => `{${entries.map(([k, v]) => `${JSON.stringify(k)}:${v}`).join(",")}}`);

export const jsonTexts: Bytes = fc.oneof(oddJson, objectOf(name, oddJson)).map((json) => Buffer.from(json));

export const safetensorsFiles: Bytes = fc
  .tuple(
    objectOf(
      name,
      fc.oneof(
        { weight: 1, arbitrary: oddJson },
        {
          weight: 4,
          arbitrary: fc
            .record({
              dtype: fc.oneof(fc.constantFrom(...DTYPES), name),
              shape: extents,
              data_offsets: fc.array(fc.oneof(fc.integer({ min: 0, max: 64 }), extent), {
                minLength: 2,
                maxLength: 2,
              }),
            })
            .map((entry) => JSON.stringify(entry)),
        },
      ),
    ),
    fc.uint8Array({ maxLength: 64 }),
    fc.option(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), { nil: undefined, freq: 10 }),
  )
  .map(([header, data, length]) => safetensorsOf(header, data, length));

export const shardIndexes: Bytes = objectOf(
  fc.constantFrom("weight_map", "metadata", "__proto__"),
  fc.oneof(
    oddJson,
    objectOf(
      name,
      name.map((shard) => JSON.stringify(shard)),
    ),
  ),
).map((json) => Buffer.from(json));

const integer = fc.oneof(
  fc.integer({ min: 0, max: 16 }).map(BigInt),
  fc.bigInt({ min: -(1n << 64n), max: 1n << 64n }),
);

/** Opcodes with their operands; a program of them is often wrong, and right often enough. */
const opcode: Bytes = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(..."N)]}(taeusRQb012.".split("")).map((code) => assemble(code)) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(0x88, 0x89, 0x85, 0x86, 0x87, 0x93, 0x94).map((code) => assemble(code)),
  },
  { weight: 2, arbitrary: name.map(text) },
  { weight: 2, arbitrary: integer.map((value) => long(value)) },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom(
        ["collections", "OrderedDict"],
        ["torch", "HalfStorage"],
        ["torch._utils", "_rebuild_tensor_v2"],
        ["torch._utils", "_rebuild_parameter"],
        ["os", "system"],
        ["__builtin__", "eval"],
      )
      .map(([module = "", global = ""]) => globalName(module, global)),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(fc.constantFrom("q", "h"), fc.nat(9)).map(([code, at]) => assemble(code, at)),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.constantFrom("r", "j"), fc.nat()).map(([code, at]) => assemble(code, u32(at))),
  },
  { weight: 1, arbitrary: fc.nat(255).map((code) => assemble(code)) },
  {
    weight: 4,
    arbitrary: fc
      .record({
        offset: integer,
        shape: fc.array(integer, { maxLength: 3 }),
        strides: fc.array(integer, { maxLength: 3 }),
      })
      .map((sample) => tensor(sample)),
  },
);

/** Half of them a dict of something, as a checkpoint is. */
export const pickles: Bytes = fc
  .tuple(fc.boolean(), fc.array(fc.tuple(name, opcode), { maxLength: 30 }))
  .map(([isDict, parts]) =>
    isDict
      ? pickle("}(", ...parts.flatMap(([key, value]) => [text(key), value]), "u")
      : pickle(...parts.map(([, code]) => code)),
  );

const zipEntry = fc.record(
  {
    name: fc.oneof(
      fc.constantFrom("archive/data.pkl", "archive/data/0", "archive/version", "archive/byteorder"),
      name,
    ),
    data: fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
    method: fc.constantFrom(0, 0, 0, 8),
    flags: fc.constantFrom(0x800, 0, 1, 8, 0x2000),
    localName: name,
    directory: fc.record(
      {
        byteLength: fc.constantFrom(0, 8, 0xffffffff, 0x7fffffff),
        headerOffset: fc.constantFrom(0, 1, 0xffffffff),
        extra: fc
          .uint8Array({ maxLength: 40 })
          .map((bytes) => Buffer.concat([Buffer.of(1, 0, bytes.length, 0), bytes])),
        name,
      },
      { requiredKeys: [] },
    ),
  },
  { requiredKeys: ["name", "data"] },
);

export const zips: Bytes = fc
  .tuple(
    fc.array(zipEntry, { maxLength: 6 }),
    fc.record({ entryCount: fc.nat(0xffff), directoryOffset: fc.nat(0xffff) }, { requiredKeys: [] }),
  )
  .map(([entries, end]) => storedZip(entries, end));

export const torchZips: Bytes = fc.oneof(
  pickles.map((pkl) => storedZip(checkpointEntries(pkl))),
  zips,
);

export const legacyStreams: Bytes = fc
  .record({ object: pickles, keys: pickles, systemInfo: pickles }, { requiredKeys: [] })
  .map((parts) => legacyStream(parts));

const CONFIG_KEYS = [
  ..."architectures model_type vocab_size torch_dtype dtype max_position_embeddings hidden_size".split(" "),
  ..."rope_scaling rope_theta tie_word_embeddings bos_token_id eos_token_id pad_token_id".split(" "),
  ..."bos_token eos_token unk_token pad_token additional_special_tokens tokenizer_class".split(" "),
  ..."added_tokens_decoder added_tokens model vocab chat_template [PAD] __proto__".split(" "),
];

export const configs: Bytes = objectOf(
  fc.constantFrom(...CONFIG_KEYS),
  fc.oneof(
    oddJson,
    fc.constantFrom('["LLaMAForCausalLM"]', '"LLaMATokenizer"', '""', "null", "0", "16", '{"content":"<s>"}'),
    objectOf(
      fc.oneof(name, fc.nat(20).map(String)),
      fc.constantFrom("1", "-1", "17", '{"content":"a"}', "4194304"),
    ),
  ),
).map((json) => Buffer.from(json));

const field = fc.oneof(
  fc
    .tuple(fc.nat(50), fc.bigInt({ min: -(1n << 63n), max: 1n << 64n }))
    .map(([at, value]) => varintField(at, value)),
  fc.tuple(fc.nat(50), name).map(([at, value]) => bytesField(at, value)),
  name.map((value) => piece(value)),
  fc.constant(NORMALIZER_SPEC),
  fc.tuple(fc.constantFrom(40, 41, 42, 43), fc.integer()).map(([at, id]) => trainerSpec(varintField(at, id))),
);

export const sentencePieces: Bytes = fc
  .array(field, { maxLength: 30 })
  .map((fields) => Buffer.concat(fields));
