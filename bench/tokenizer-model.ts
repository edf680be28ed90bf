/**
 * A tokenizer.model of LLaMA's size and make-up, with made-up pieces (sentencepiece_model.proto: `pieces` is field 1,
 * with a text, a score and a type).
 */

const [NORMAL, UNKNOWN, CONTROL, BYTE] = [1, 2, 3, 6];

/** Bytes of so many pieces. */
export function tokenizerModel(pieces: number): Buffer {
  const special = [
    encodePiece("<unk>", 0, UNKNOWN),
    encodePiece("<s>", 0, CONTROL),
    encodePiece("</s>", 0, CONTROL),
  ];
  const bytes = Array.from({ length: 256 }, (_, i) =>
    encodePiece(`<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`, 0, BYTE),
  );
  const rest = Array.from({ length: pieces - special.length - bytes.length }, (_, i) =>
    encodePiece(`▁piece${i.toString(36)}`, -i, NORMAL),
  );
  return Buffer.concat([...special, ...bytes, ...rest]);
}

/** Shorter than 128 bytes, so every length is one byte. */
function encodePiece(text: string, score: number, type: number): Buffer {
  const piece = Buffer.from(text);
  const inner = Buffer.alloc(2 + piece.length + 5 + 2);
  inner.set([0x0a, piece.length]);
  piece.copy(inner, 2);
  inner[2 + piece.length] = 0x15;
  inner.writeFloatLE(score, 3 + piece.length);
  inner.set([0x18, type], 7 + piece.length);
  return Buffer.concat([Buffer.of(0x0a, inner.length), inner]);
}
