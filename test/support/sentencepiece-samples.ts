/** SentencePiece models made by hand: the protobuf of `sentencepiece_model.proto`, field by field. */

export function varint(value: number | bigint): Buffer {
  const bytes: number[] = [];
  let left = BigInt.asUintN(64, BigInt(value));
  do {
    const low = Number(left & 0x7fn);
    left >>= 7n;
    bytes.push(left > 0n ? low | 0x80 : low);
  } while (left > 0n);
  return Buffer.from(bytes);
}

export function varintField(field: number, value: number | bigint): Buffer {
  return Buffer.concat([varint(field * 8), varint(value)]);
}

export function bytesField(field: number, ...content: (Uint8Array | string)[]): Buffer {
  const bytes = Buffer.concat(content.map((part) => Buffer.from(part)));
  return Buffer.concat([varint(field * 8 + 2), varint(bytes.length), bytes]);
}

export function piece(text: string, ...more: Uint8Array[]): Buffer {
  return bytesField(1, bytesField(1, text), ...more);
}

export function trainerSpec(...fields: Uint8Array[]): Buffer {
  return bytesField(2, ...fields);
}

export const NORMALIZER_SPEC = bytesField(3, bytesField(1, "identity"));

/** LLaMA's special pieces and as many others as it takes. All bytes are ASCII. */
export function llamaPieces(count: number): string[] {
  return ["<unk>", "<s>", "</s>", ...Array.from({ length: count - 3 }, (_, i) => `piece${i}`)];
}

export function sentencePieceModel(pieces: readonly string[]): Buffer {
  return Buffer.concat([...pieces.map((text) => piece(text)), trainerSpec(), NORMALIZER_SPEC]);
}
