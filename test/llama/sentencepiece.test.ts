/** tokenizer.model: what the real sentencepiece reads in it, and every way in which one can be broken. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { isApplyDeltaError } from "../../src/errors.js";
import { MAX_PIECE_BYTES, MAX_PIECES, readSentencePiece } from "../../src/llama/sentencepiece.js";
import { fixturePath, projectPath } from "../support/fixture-path.js";
import { refusal } from "../support/refusal.js";
import {
  bytesField,
  llamaPieces,
  NORMALIZER_SPEC,
  piece,
  sentencePieceModel,
  trainerSpec,
  varint,
  varintField,
} from "../support/sentencepiece-samples.js";

const PATH = "tokenizer.model";
const TINY = projectPath("examples/tiny/base/tokenizer.model");

interface Expected {
  readonly pieces: readonly string[];
  readonly special: Readonly<Record<string, { readonly id: number; readonly name: string } | null>>;
}
/** Written by the real sentencepiece: test/fixtures/tokenizer/make_fixtures.py. */
const EXPECTED: Record<string, Expected> = JSON.parse(
  readFileSync(fixturePath("tokenizer/expected.json"), "utf8"),
);

for (const [path, expected] of Object.entries(EXPECTED)) {
  test(`${path} reads as with sentencepiece itself`, async () => {
    const { pieces, special } = await readSentencePiece(readFileSync(projectPath(path)), path);
    assert.deepEqual(pieces, expected.pieces);
    assert.deepEqual(special, expected.special);
  });

  test(`${path} cut at every byte has the pieces before the cut, or is refused`, async () => {
    const bytes = readFileSync(projectPath(path));
    let readable = 0;
    for (let length = 0; length < bytes.length; length++) {
      try {
        const { pieces } = await readSentencePiece(bytes.subarray(0, length), PATH);
        assert.deepEqual(pieces, expected.pieces.slice(0, pieces.length));
        readable++;
      } catch (error) {
        if (!isApplyDeltaError(error, "tokenizer-malformed")) throw error;
        assert.equal(error.details.file, PATH);
      }
    }
    // Behind each piece, and behind the spec that follows them.
    assert.equal(readable, expected.pieces.length + 1);
  });
}

interface OddModel {
  readonly base64: string;
  /** Null where sentencepiece refuses it. */
  readonly read: Expected | null;
}
const ODD_MODELS: Record<string, OddModel> = JSON.parse(
  readFileSync(fixturePath("tokenizer/odd-models.json"), "utf8"),
);

for (const [title, { base64, read }] of Object.entries(ODD_MODELS)) {
  test(`as sentencepiece reads it: ${title}`, async () => {
    const attempt = () => readSentencePiece(Buffer.from(base64, "base64"), PATH);
    if (read === null) {
      await refusal(attempt, "tokenizer-malformed", { file: PATH, offsetBytes: /^\d+$/ });
      return;
    }
    const { pieces, special } = await attempt();
    assert.deepEqual({ pieces, special }, read);
  });
}

test("the tiny example has 320 pieces and LLaMA's special ones", async () => {
  const { pieces, special } = await readSentencePiece(readFileSync(TINY), TINY);
  assert.equal(pieces.length, 320);
  assert.deepEqual(special.eos, { id: 2, name: "</s>" });
  assert.equal(special.pad, null);
});

const LLAMA = llamaPieces(5).map((text) => piece(text));
const model = (...parts: Uint8Array[]) => Buffer.concat(parts);
const whole = (...spec: Uint8Array[]) => model(...LLAMA, trainerSpec(...spec), NORMALIZER_SPEC);

test("special ids are trainer_spec's, also negative and out of reach", async () => {
  const read = async (...spec: Uint8Array[]) => (await readSentencePiece(whole(...spec), PATH)).special;
  assert.deepEqual(await read(), {
    unk: { id: 0, name: "<unk>" },
    bos: { id: 1, name: "<s>" },
    eos: { id: 2, name: "</s>" },
    pad: null,
  });
  assert.deepEqual((await read(varintField(43, 3))).pad, { id: 3, name: "piece0" });
  assert.equal((await read(varintField(41, -1))).bos, null);
  assert.equal((await read(varintField(42, 5))).eos, null);
  // int32 in five bytes, as other writers do.
  assert.equal((await read(varintField(41, 0xffff_ffff))).bos, null);
  // More than 32 bits are cut off, as protobuf does.
  assert.equal((await read(varintField(41, 2n ** 32n + 3n))).bos?.id, 3);
});

test("fields that say nothing of the vocabulary are passed over", async () => {
  const bytes = model(
    ...LLAMA,
    trainerSpec(varintField(77, 5), bytesField(1, "in.txt"), Buffer.from([0x55, 0, 0, 0, 0])),
    NORMALIZER_SPEC,
    bytesField(4, bytesField(1, "sample")),
    bytesField(200, "an extension"),
    Buffer.from([...varint(201 * 8 + 1), 1, 2, 3, 4, 5, 6, 7, 8]),
  );
  assert.equal((await readSentencePiece(bytes, PATH)).pieces.length, 5);
  const typed = piece("x", varintField(3, 4), Buffer.from([0x15, 0, 0, 0x80, 0x3f]), varintField(200, 1));
  assert.deepEqual((await readSentencePiece(model(typed, trainerSpec(), NORMALIZER_SPEC), PATH)).pieces, [
    "x",
  ]);
});

const REFUSED: Record<string, { bytes: Buffer; says: RegExp; at?: number }> = {
  "no bytes": { bytes: Buffer.alloc(0), says: /no pieces/, at: 0 },
  "no pieces": { bytes: model(trainerSpec(), NORMALIZER_SPEC), says: /no pieces/ },
  "an empty piece": { bytes: model(piece("")), says: /a piece is empty/, at: 0 },
  "a piece without text": { bytes: bytesField(1), says: /a piece is empty/, at: 0 },
  "a piece twice": { bytes: model(piece("a"), piece("a")), says: /"a" stands twice/, at: 5 },
  "a piece that is not UTF-8": {
    bytes: bytesField(1, bytesField(1, Buffer.from([0xff]))),
    says: /not UTF-8/,
    at: 4,
  },
  "a piece too long": {
    bytes: piece("a".repeat(MAX_PIECE_BYTES + 1)),
    says: /longer than 65536 bytes/,
  },
  "field number 0": { bytes: Buffer.from([0x02, 0x00]), says: /impossible number/, at: 0 },
  "a field number of 64 bits": { bytes: model(varint(2n ** 63n)), says: /impossible number/, at: 0 },
  "a group cut short": { bytes: Buffer.from([0x0b]), says: /ends inside a group/, at: 0 },
  "groups in groups": { bytes: Buffer.alloc(101, 0x0b), says: /nested deeper than 100/, at: 100 },
  "wire type 7": { bytes: Buffer.from([0x0f]), says: /wire type 7 is unknown/, at: 0 },
  "a number without end": { bytes: Buffer.alloc(64, 0xff), says: /longer than 64 bits/, at: 0 },
  "a number cut short": { bytes: Buffer.from([0x0a, 0x80]), says: /ends inside a number/, at: 1 },
  "a length past the end": { bytes: Buffer.from([0x0a, 0x05, 0x0a]), says: /ends inside a field/, at: 0 },
  "a length of 2^63": {
    bytes: model(Buffer.from([0x0a]), varint(2n ** 63n)),
    says: /ends inside a field/,
    at: 0,
  },
  "a piece whose text leaves it": {
    bytes: bytesField(1, Buffer.from([0x0a, 0x05, 0x61])),
    says: /ends inside a field/,
    at: 2,
  },
  "a score one byte short": {
    bytes: piece("a", Buffer.from([0x15, 0, 0, 0])),
    says: /ends inside a field/,
    at: 5,
  },
  "a broken normalizer_spec": {
    bytes: model(...LLAMA, trainerSpec(), bytesField(3, Buffer.from([0x0a, 0x05]))),
    says: /ends inside a field/,
  },
  "text (a Git LFS pointer, say)": {
    bytes: Buffer.from("version https://git-lfs.github.com/spec/v1\n"),
    says: /malformed/,
  },
};
for (const [title, { bytes, says, at }] of Object.entries(REFUSED)) {
  test(`refused: ${title}`, async () => {
    const error = await refusal(() => readSentencePiece(bytes, PATH), "tokenizer-malformed", {
      file: PATH,
      message: says,
    });
    if (at !== undefined) assert.equal(error.details.offsetBytes, at);
    assert.equal(error.exitCode, 4);
  });
}

test("more pieces than any vocabulary has are refused, after a pause each 16 384", async () => {
  const entry = (i: number) => piece(i.toString(36).padStart(4, "0"));
  const size = entry(0).length;
  const bytes = Buffer.alloc(size * (MAX_PIECES + 1), entry(0));
  const digits = "0123456789abcdefghijklmnopqrstuvwxyz";
  for (let i = 0; i <= MAX_PIECES; i++) {
    for (let place = 0, left = i; place < 4; place++, left = Math.floor(left / 36)) {
      bytes[(i + 1) * size - 1 - place] = digits.charCodeAt(left % 36);
    }
  }
  let pauses = 0;
  const pause = async () => {
    pauses++;
  };
  await refusal(() => readSentencePiece(bytes, PATH, pause), "tokenizer-malformed", {
    message: /more than 300000 pieces/,
  });
  assert.equal(pauses, 18);
});

test("changed bytes give a typed error or a vocabulary within the caps", async () => {
  const bytes = sentencePieceModel(llamaPieces(20));
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      async (changes) => {
        const changed = Buffer.from(bytes);
        for (const [at, value] of changes) changed[at] = value;
        try {
          const { pieces, special } = await readSentencePiece(changed, PATH);
          for (const found of Object.values(special)) {
            if (found !== null) assert.equal(pieces[found.id], found.name);
          }
        } catch (error) {
          if (!isApplyDeltaError(error, "tokenizer-malformed")) throw error;
          assert.ok((error.details.offsetBytes ?? -1) <= changed.length);
        }
      },
    ),
    { numRuns: 3000 },
  );
});
