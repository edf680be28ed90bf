/**
 * Reads a `tokenizer.model`, SentencePiece's protobuf, as sentencepiece does: it may lack its specs, and fields that are
 * unknown or of another wire type are passed over. A file cut between two pieces is therefore a smaller vocabulary,
 * which the embedding's rows show; cut anywhere else it is an error.
 * Format: https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto and
 * https://protobuf.dev/programming-guides/encoding/
 */
import { isUtf8 } from "node:buffer";
import { ApplyDeltaError, type ErrorDetails } from "../errors.js";
import { noPause, type Pause } from "../interrupt.js";

/** The largest vocabularies have some 260 000 pieces; stops a file of nothing but tiny ones. */
export const MAX_PIECES = 300_000;

/** Of the model, a piece each and some more; and of all pieces and specs together, where a piece has three. */
const MAX_FIELDS = { model: MAX_PIECES + 1000, inside: 4 * MAX_PIECES };

/** Pieces between two pauses, some ten milliseconds. */
const SLICE_PIECES = 1 << 14;

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
  /** By id, as are the scores, which decide what a text is cut into, and the types: `SentencePiece.Type`. */
  readonly pieces: readonly string[];
  readonly ids: ReadonlyMap<string, number>;
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
const FIXED_LENGTHS: Readonly<Record<number, number>> = { 0: 0, 1: 8, 3: 0, 4: 0, 5: 4 };

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
const SPECIAL_FIELDS = new Set(Object.values(SPECIAL_IDS).map(({ field }) => field));

type Fail = (what: string, at: number, details?: ErrorDetails) => never;

/** Errors: `tokenizer-malformed`, `interrupted`. `path` is only named. */
export async function readSentencePiece(
  bytes: Uint8Array,
  path: string,
  pause: Pause = noPause,
): Promise<SentencePieceModel> {
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
  const specialIds = new Map<number, number>();
  const specs = new Map<number, Uint8Array[]>();
  const field = new FieldReader(bytes, fail, MAX_FIELDS.model);
  const inside = new FieldReader(bytes, fail, MAX_FIELDS.inside);
  field.enter(0, bytes.length);
  while (field.next()) {
    const { number, wireType, at, start, end } = field;
    if (wireType !== WIRE.bytes || number > MODEL.denormalizer) continue;
    inside.enter(start, end);
    if (number === MODEL.pieces) {
      if (ids.size === MAX_PIECES) fail(`it has more than ${MAX_PIECES} pieces`, at);
      const { piece, score, type } = readPiece(inside, at);
      ids.set(piece, ids.size);
      if (ids.size === scores.length) fail(`the piece ${JSON.stringify(piece)} stands twice`, at);
      scores.push(score);
      types.push(type);
      if (ids.size % SLICE_PIECES === 0) await pause();
    } else {
      // protobuf joins a message that comes in parts.
      const parts = specs.get(number) ?? [];
      parts.push(bytes.subarray(start, end));
      specs.set(number, parts);
      // What else is in it doesn't matter here, but it must be whole.
      while (inside.next()) if (number === MODEL.trainer) noteSpecialId(inside, specialIds);
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
    ids,
    scores,
    types,
    normalizer: Buffer.concat(specs.get(MODEL.normalizer) ?? []),
    denormalizer: Buffer.concat(specs.get(MODEL.denormalizer) ?? []),
    special: { unk: pieceOf("unk"), bos: pieceOf("bos"), eos: pieceOf("eos"), pad: pieceOf("pad") },
  };
}

function readPiece(field: FieldReader, at: number): { piece: string; score: number; type: number } {
  let piece = "";
  let score = 0;
  let type = NORMAL;
  while (field.next()) {
    const { number, wireType, int32 } = field;
    if (number === PIECE.piece && wireType === WIRE.bytes) piece = readText(field);
    else if (number === PIECE.type && wireType === WIRE.varint) {
      if (int32 >= NORMAL && int32 <= LAST_TYPE) type = int32;
    } else if (number === PIECE.score && wireType === WIRE.fixed32) score = field.readFloat();
  }
  if (piece === "") field.fail("a piece is empty", at);
  return { piece, score, type };
}

function readText({ bytes, at, start, end, fail }: FieldReader): string {
  if (end - start > MAX_PIECE_BYTES) fail(`a piece is longer than ${MAX_PIECE_BYTES} bytes`, at);
  // TextDecoder would throw, but is slow on short texts; this puts U+FFFD for what isn't UTF-8.
  const text = bytes.toString("utf8", start, end);
  if (text.includes("\ufffd") && !isUtf8(bytes.subarray(start, end))) fail("a piece is not UTF-8", start);
  return text;
}

/** Other fields of the trainer's spec describe the training. */
function noteSpecialId({ number, wireType, int32 }: FieldReader, ids: Map<number, number>): void {
  // -1, for "none", is written with ten bytes.
  if (wireType === WIRE.varint && SPECIAL_FIELDS.has(number)) ids.set(number, int32);
}

/** The fields of a message, front to back, without those inside a group. A vocabulary has 100 000: none is allocated. */
class FieldReader {
  number = 0;
  wireType = 0;
  /** Where the field's tag starts. */
  at = 0;
  /** Of a varint: its low 32 bits, which protobuf makes an int32 of. */
  int32 = 0;
  /** Where the bytes of any other are. */
  start = 0;
  end = 0;
  readonly bytes: Buffer;
  readonly #groups: { readonly number: number; readonly at: number }[] = [];
  #fields = 0;
  #position = 0;
  #messageEnd = 0;

  constructor(
    bytes: Uint8Array,
    readonly fail: Fail,
    private readonly mostFields: number,
  ) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Goes to the message in these bytes. */
  enter(start: number, end: number): void {
    this.#position = start;
    this.#messageEnd = end;
  }

  /** Goes to the next field; false at the end of the message. */
  next(): boolean {
    while (this.#position < this.#messageEnd) {
      this.#readTag();
      const { number, wireType, at } = this;
      if (wireType === WIRE.groupStart) {
        if (this.#groups.length === MAX_GROUP_DEPTH)
          this.fail(`groups are nested deeper than ${MAX_GROUP_DEPTH}`, at);
        this.#groups.push({ number, at });
      } else if (wireType === WIRE.groupEnd) {
        if (this.#groups.pop()?.number !== number) this.fail("a group ends that did not begin", at);
      } else if (this.#groups.length === 0) return true;
    }
    const open = this.#groups.at(-1);
    if (open !== undefined) this.fail("it ends inside a group", open.at);
    return false;
  }

  /** Of a fixed32. */
  readFloat(): number {
    return this.bytes.readFloatLE(this.start);
  }

  #readTag(): void {
    this.at = this.#position;
    if (++this.#fields > this.mostFields) this.fail(`it has more than ${this.mostFields} fields`, this.at);
    const tag = this.#varint();
    this.wireType = tag % 8;
    this.number = (tag - this.wireType) / 8;
    if (this.number === 0 || tag > 0xffff_ffff) this.fail("a field has an impossible number", this.at);
    if (this.wireType === WIRE.varint) this.#varint();
    const length = this.wireType === WIRE.bytes ? this.#varint() : FIXED_LENGTHS[this.wireType];
    const byteLength = length ?? this.fail(`wire type ${this.wireType} is unknown`, this.at);
    const left = this.#messageEnd - this.#position;
    if (byteLength > left) {
      const [expected, got] = [`${byteLength} bytes`, `${left} bytes`];
      this.fail("it ends inside a field", this.at, { expected, got });
    }
    this.start = this.#position;
    this.end = this.#position += byteLength;
  }

  /** Rounded beyond 2^53: no file is as long. A bigint would be exact, and take several times as long. */
  #varint(): number {
    const first = this.#position;
    let value = 0;
    this.int32 = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.bytes[this.#position++];
      if (byte === undefined || this.#position > this.#messageEnd)
        return this.fail("it ends inside a number", first);
      if (this.#position - first > MAX_VARINT_BYTES) this.fail("a number is longer than 64 bits", first);
      value += (byte & 0x7f) * 2 ** shift;
      if (shift < 32) this.int32 |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  }
}
