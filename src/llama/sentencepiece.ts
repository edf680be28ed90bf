/**
 * Reads a `tokenizer.model`, SentencePiece's protobuf. A file cut anywhere is an error, not a smaller vocabulary.
 * Format: https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto and
 * https://protobuf.dev/programming-guides/encoding/
 */
import { ApplyDeltaError, type ErrorDetails } from "../errors.js";

/** The largest vocabularies have some 260 000 pieces; stops a file of nothing but tiny ones. */
export const MAX_PIECES = 1_000_000;

/** SentencePiece's trainer makes pieces of 16 characters; stops one piece as large as the file. */
export const MAX_PIECE_BYTES = 65_536;

/** A varint of 64 bits has ten bytes; stops one that goes on without end. */
const MAX_VARINT_BYTES = 10;

export interface SpecialPiece {
  readonly id: number;
  readonly name: string;
}

export const SPECIAL_ROLES = ["unk", "bos", "eos", "pad"] as const;
export type SpecialRole = (typeof SPECIAL_ROLES)[number];

export interface SentencePieceModel {
  /** By id. */
  readonly pieces: readonly string[];
  /** By id. They decide which pieces a text is cut into. */
  readonly scores: readonly number[];
  /** By id: `SentencePiece.Type`. */
  readonly types: readonly number[];
  /** How a text is changed before it is cut into pieces and after it is joined: the raw messages. */
  readonly normalizer: Uint8Array;
  readonly denormalizer: Uint8Array;
  /** Null if the model has none: LLaMA's has no pad. */
  readonly special: Readonly<Record<SpecialRole, SpecialPiece | null>>;
}

/** Wire types; 3 and 4 (groups) occur in no SentencePiece model. */
const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

/** `ModelProto` */
const PIECES = 1;
const TRAINER_SPEC = 2;
const NORMALIZER_SPEC = 3;
const LAST_MODEL_FIELD = 5;
const DENORMALIZER_SPEC = 5;
/** `ModelProto.SentencePiece` */
const PIECE = 1;
const SCORE = 2;
const TYPE = 3;
/** From here on fields are extensions, in both messages. */
const FIRST_EXTENSION = 200;
/** `SentencePiece.Type`: NORMAL = 1, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 6 */
const LAST_TYPE = 6;
const NORMAL = 1;

/** `TrainerSpec`: the field of each special id and its default. */
const SPECIAL_ID_FIELDS: Record<SpecialRole, { readonly field: number; readonly byDefault: number }> = {
  unk: { field: 40, byDefault: 0 },
  bos: { field: 41, byDefault: 1 },
  eos: { field: 42, byDefault: 2 },
  pad: { field: 43, byDefault: -1 },
};

interface Field {
  readonly number: number;
  readonly wireType: number;
  /** Where its tag starts. */
  readonly at: number;
  /** Of a varint; 0 otherwise. */
  readonly value: bigint;
  /** Of a field of bytes: where they are. */
  readonly start: number;
  readonly end: number;
}

type Fail = (what: string, at: number, details?: ErrorDetails) => never;

/** Errors: `tokenizer-malformed`. `path` is only named. */
export function readSentencePiece(bytes: Uint8Array, path: string): SentencePieceModel {
  const fail: Fail = (what, at, details) => {
    throw new ApplyDeltaError("tokenizer-malformed", `The tokenizer model is malformed: ${what}.`, {
      file: path,
      offsetBytes: at,
      ...details,
      hint: "Download or copy tokenizer.model again.",
    });
  };
  const ids = new Map<string, number>();
  const scores: number[] = [];
  const types: number[] = [];
  const specs = new Map<number, Uint8Array>();
  const specialIds = new Map<number, number>();
  const found = new Set<number>();
  for (const field of fieldsOf(bytes, 0, bytes.length, fail)) {
    found.add(field.number);
    if (field.number >= FIRST_EXTENSION) continue;
    if (field.number > LAST_MODEL_FIELD) fail(`field ${field.number} is unknown`, field.at);
    if (field.wireType !== BYTES) fail(`field ${field.number} is not a message`, field.at);
    if (field.number === PIECES) {
      if (ids.size === MAX_PIECES) fail(`it has more than ${MAX_PIECES} pieces`, field.at);
      const { piece, score, type } = readPiece(bytes, field, fail);
      if (ids.has(piece)) fail(`the piece ${JSON.stringify(piece)} stands twice`, field.at);
      ids.set(piece, ids.size);
      scores.push(score);
      types.push(type);
    } else if (field.number === TRAINER_SPEC) {
      readSpecialIds(bytes, field, specialIds, fail);
    } else {
      // Its content doesn't matter here, but it must be whole.
      specs.set(field.number, bytes.subarray(field.start, field.end));
      for (const _ of fieldsOf(bytes, field.start, field.end, fail));
    }
  }
  // The trainer writes the specs behind the pieces: a file cut between two pieces has neither.
  for (const [number, name] of [
    [PIECES, "pieces"],
    [TRAINER_SPEC, "trainer_spec"],
    [NORMALIZER_SPEC, "normalizer_spec"],
  ] as const) {
    if (!found.has(number)) fail(`it has no ${name}, as if it had been cut`, bytes.length);
  }
  const pieces = [...ids.keys()];
  return {
    pieces,
    scores,
    types,
    normalizer: specs.get(NORMALIZER_SPEC) ?? new Uint8Array(),
    denormalizer: specs.get(DENORMALIZER_SPEC) ?? new Uint8Array(),
    special: specialPieces(pieces, specialIds),
  };
}

/** `ids` by the number of their field. */
function specialPieces(
  pieces: readonly string[],
  ids: ReadonlyMap<number, number>,
): SentencePieceModel["special"] {
  const pieceOf = (role: SpecialRole): SpecialPiece | null => {
    const { field, byDefault } = SPECIAL_ID_FIELDS[role];
    const id = ids.get(field) ?? byDefault;
    const name = pieces[id];
    return name === undefined ? null : { id, name };
  };
  return { unk: pieceOf("unk"), bos: pieceOf("bos"), eos: pieceOf("eos"), pad: pieceOf("pad") };
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

interface Piece {
  readonly piece: string;
  readonly score: number;
  readonly type: number;
}

function readPiece(bytes: Uint8Array, message: Field, fail: Fail): Piece {
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let piece = "";
  let score = 0;
  let type = NORMAL;
  for (const field of fieldsOf(bytes, message.start, message.end, fail)) {
    const { number, wireType, at, start, end, value } = field;
    if (number === PIECE && wireType === BYTES) {
      if (end - start > MAX_PIECE_BYTES) fail(`a piece is longer than ${MAX_PIECE_BYTES} bytes`, at);
      try {
        piece = utf8.decode(bytes.subarray(start, end));
      } catch (cause) {
        fail("a piece is not UTF-8", start, { cause });
      }
    } else if (number === TYPE && wireType === VARINT) {
      if (value < 1n || value > LAST_TYPE) fail(`${value} is not a type of piece`, at);
      type = Number(value);
    } else if (number === SCORE && wireType === FIXED32) {
      score = data.getFloat32(start, true);
    } else if (number < FIRST_EXTENSION) {
      fail(`field ${number} of a piece is unknown`, at);
    }
  }
  if (piece === "") fail("a piece is empty", message.at);
  return { piece, score, type };
}

function readSpecialIds(bytes: Uint8Array, message: Field, into: Map<number, number>, fail: Fail): void {
  const wanted = new Set(SPECIAL_ROLES.map((role) => SPECIAL_ID_FIELDS[role].field));
  // Other fields describe the training; new ones come with new versions.
  for (const { number, wireType, at, value } of fieldsOf(bytes, message.start, message.end, fail)) {
    if (!wanted.has(number)) continue;
    if (wireType !== VARINT) fail(`field ${number} of trainer_spec is not an integer`, at);
    // int32: -1, for "none", is written with ten bytes.
    into.set(number, Number(BigInt.asIntN(32, value)));
  }
}

/** The fields of one message, front to back. */
function* fieldsOf(bytes: Uint8Array, start: number, end: number, fail: Fail): Generator<Field> {
  let position = start;
  const varint = (): bigint => {
    const first = position;
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      if (position >= end) fail("it ends inside a number", first);
      if (position - first === MAX_VARINT_BYTES) fail("a number is longer than 64 bits", first);
      const byte = bytes[position++] as number;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  const advance = (byteLength: bigint, at: number): number => {
    const left = end - position;
    if (byteLength > left) {
      fail("it ends inside a field", at, { expected: `${byteLength} bytes`, got: `${left} bytes` });
    }
    position += Number(byteLength);
    return position;
  };
  while (position < end) {
    const at = position;
    const tag = varint();
    const wireType = Number(tag & 7n);
    const number = Number(tag >> 3n);
    if (number === 0 || tag > 0xffff_ffffn) fail("a field has an impossible number", at);
    const value = wireType === VARINT ? varint() : 0n;
    const byteLength =
      wireType === BYTES ? varint() : wireType === FIXED64 ? 8n : wireType === FIXED32 ? 4n : 0n;
    if (![VARINT, FIXED64, BYTES, FIXED32].includes(wireType)) fail(`wire type ${wireType} is unknown`, at);
    const fieldStart = position;
    yield { number, wireType, at, value, start: fieldStart, end: advance(byteLength, at) };
  }
}
