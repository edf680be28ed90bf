/**
 * Reads a `tokenizer.model`, SentencePiece's protobuf, as sentencepiece does: it may lack its specs, and fields that are
 * unknown or of another wire type are passed over. A file cut between two pieces is therefore a smaller vocabulary,
 * which the embedding's rows show; cut anywhere else it is an error.
 * Format: https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto and
 * https://protobuf.dev/programming-guides/encoding/
 */
import { ApplyDeltaError, type ErrorDetails } from "../errors.js";

/** The largest vocabularies have some 260 000 pieces; stops a file of nothing but tiny ones. */
export const MAX_PIECES = 1 << 19;

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
  /** By id, like the scores, which decide what a text is cut into, and the types: `SentencePiece.Type`. */
  readonly pieces: readonly string[];
  readonly scores: readonly number[];
  readonly types: readonly number[];
  /** How a text is changed before it is cut into pieces and after it is joined: the raw messages. */
  readonly normalizer: Uint8Array;
  readonly denormalizer: Uint8Array;
  /** Null if the model has none: LLaMA's has no pad. */
  readonly special: Readonly<Record<SpecialRole, SpecialPiece | null>>;
}

const WIRE = { varint: 0, fixed64: 1, bytes: 2, groupStart: 3, groupEnd: 4, fixed32: 5 } as const;

/** In bytes, by wire type; a varint is read with its tag. */
const FIXED_LENGTHS: Readonly<Record<number, bigint>> = { 0: 0n, 1: 8n, 3: 0n, 4: 0n, 5: 4n };

/** protobuf's own limit; stops groups in groups without end. */
const MAX_GROUP_DEPTH = 100;

/** Numbers of fields: `ModelProto`, `ModelProto.SentencePiece`. */
const MODEL = { pieces: 1, trainer: 2, normalizer: 3, selfTest: 4, denormalizer: 5 } as const;
const PIECE = { piece: 1, score: 2, type: 3 } as const;

/** `SentencePiece.Type`: NORMAL = 1, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 6 */
const NORMAL = 1;
const LAST_TYPE = 6;

/** `TrainerSpec`: the field of each special id and its default. */
const SPECIAL_IDS: Record<SpecialRole, { readonly field: number; readonly byDefault: number }> = {
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
  /** Where the bytes of any other are. */
  readonly start: number;
  readonly end: number;
}

type Fail = (what: string, at: number, details?: ErrorDetails) => never;

/** A message in the file: the file itself, or a field of it. */
interface Message {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  readonly fail: Fail;
}

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
  const model: Message = { bytes, start: 0, end: bytes.length, fail };
  const ids = new Map<string, number>();
  const scores: number[] = [];
  const types: number[] = [];
  const specialIds = new Map<number, number>();
  const specs = new Map<number, Uint8Array[]>();
  for (const { number, wireType, at, start, end } of fieldsOf(model)) {
    if (wireType !== WIRE.bytes || number > MODEL.denormalizer) continue;
    const message = { ...model, start, end };
    if (number === MODEL.pieces) {
      if (ids.size === MAX_PIECES) fail(`it has more than ${MAX_PIECES} pieces`, at);
      const { piece, score, type } = readPiece(message, at);
      if (ids.has(piece)) fail(`the piece ${JSON.stringify(piece)} stands twice`, at);
      ids.set(piece, ids.size);
      scores.push(score);
      types.push(type);
    } else {
      // protobuf joins a message that comes in parts.
      const parts = specs.get(number) ?? [];
      parts.push(bytes.subarray(start, end));
      specs.set(number, parts);
      // What else is in it doesn't matter here, but it must be whole.
      for (const inside of fieldsOf(message)) {
        if (number === MODEL.trainer) noteSpecialId(inside, specialIds);
      }
    }
  }
  if (ids.size === 0) fail("it has no pieces", bytes.length);
  const pieces = [...ids.keys()];
  const pieceOf = (role: SpecialRole): SpecialPiece | null => {
    const { field, byDefault } = SPECIAL_IDS[role];
    const id = specialIds.get(field) ?? byDefault;
    const name = pieces[id];
    return name === undefined ? null : { id, name };
  };
  return {
    pieces,
    scores,
    types,
    normalizer: Buffer.concat(specs.get(MODEL.normalizer) ?? []),
    denormalizer: Buffer.concat(specs.get(MODEL.denormalizer) ?? []),
    special: { unk: pieceOf("unk"), bos: pieceOf("bos"), eos: pieceOf("eos"), pad: pieceOf("pad") },
  };
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function readPiece(message: Message, at: number): { piece: string; score: number; type: number } {
  const { bytes, fail } = message;
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let piece = "";
  let score = 0;
  let type = NORMAL;
  for (const { number, wireType, at, start, end, value } of fieldsOf(message)) {
    if (number === PIECE.piece && wireType === WIRE.bytes) {
      if (end - start > MAX_PIECE_BYTES) fail(`a piece is longer than ${MAX_PIECE_BYTES} bytes`, at);
      try {
        piece = utf8.decode(bytes.subarray(start, end));
      } catch (cause) {
        fail("a piece is not UTF-8", start, { cause });
      }
    } else if (number === PIECE.type && wireType === WIRE.varint) {
      if (value >= NORMAL && value <= LAST_TYPE) type = Number(value);
    } else if (number === PIECE.score && wireType === WIRE.fixed32) {
      score = data.getFloat32(start, true);
    }
  }
  if (piece === "") fail("a piece is empty", at);
  return { piece, score, type };
}

/** Other fields of the trainer's spec describe the training. */
function noteSpecialId({ number, wireType, value }: Field, ids: Map<number, number>): void {
  if (!Object.values(SPECIAL_IDS).some(({ field }) => field === number)) return;
  if (wireType !== WIRE.varint) return;
  // int32: -1, for "none", is written with ten bytes.
  ids.set(number, Number(BigInt.asIntN(32, value)));
}

/** The fields of one message, front to back, without those inside a group. */
function* fieldsOf({ bytes, start, end, fail }: Message): Generator<Field> {
  let position = start;
  const varint = (): bigint => {
    const first = position;
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[position++];
      if (byte === undefined || position > end) return fail("it ends inside a number", first);
      if (position - first > MAX_VARINT_BYTES) fail("a number is longer than 64 bits", first);
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  const groups: { readonly number: number; readonly at: number }[] = [];
  while (position < end) {
    const at = position;
    const tag = varint();
    const wireType = Number(tag & 7n);
    const number = Number(tag >> 3n);
    if (number === 0 || tag > 0xffff_ffffn) fail("a field has an impossible number", at);
    const value = wireType === WIRE.varint ? varint() : 0n;
    const byteLength = wireType === WIRE.bytes ? varint() : FIXED_LENGTHS[wireType];
    if (byteLength === undefined) return fail(`wire type ${wireType} is unknown`, at);
    const left = end - position;
    if (byteLength > left) {
      fail("it ends inside a field", at, { expected: `${byteLength} bytes`, got: `${left} bytes` });
    }
    const fieldStart = position;
    position += Number(byteLength);
    if (wireType === WIRE.groupStart) {
      if (groups.length === MAX_GROUP_DEPTH) fail(`groups are nested deeper than ${MAX_GROUP_DEPTH}`, at);
      groups.push({ number, at });
    } else if (wireType === WIRE.groupEnd) {
      if (groups.pop()?.number !== number) fail("a group ends that did not begin", at);
    } else if (groups.length === 0) {
      yield { number, wireType, at, value, start: fieldStart, end: position };
    }
  }
  const open = groups.at(-1);
  if (open !== undefined) fail("it ends inside a group", open.at);
}
