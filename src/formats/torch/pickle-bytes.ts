import type { MakeError } from "./values.js";

/** The pickle goes on where the bytes end. */
export class OutOfBytes extends Error {}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * The bytes of a pickle, read from front to back, little-endian unless a name says otherwise. A read past the end
 * throws `OutOfBytes` before anything is allocated for it.
 */
export class PickleBytes {
  /** Index of the next byte. */
  position = 0;
  private readonly view: DataView;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly makeError: MakeError,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get left(): number {
    return this.bytes.length - this.position;
  }

  /** A part of the bytes themselves, not a copy. */
  take(byteLength: number): Uint8Array {
    return this.bytes.subarray(this.advance(byteLength), this.position);
  }

  /** Moves on by `byteLength` and gives the index it started from. */
  private advance(byteLength: number): number {
    const start = this.position;
    if (byteLength > this.left) throw new OutOfBytes();
    this.position += byteLength;
    return start;
  }

  u8(): number {
    return this.view.getUint8(this.advance(1));
  }

  u16(): number {
    return this.view.getUint16(this.advance(2), true);
  }

  u32(): number {
    return this.view.getUint32(this.advance(4), true);
  }

  i32(): number {
    return this.view.getInt32(this.advance(4), true);
  }

  u64(): bigint {
    return this.view.getBigUint64(this.advance(8), true);
  }

  f64BigEndian(): number {
    return this.view.getFloat64(this.advance(8), false);
  }

  /** A two's complement integer of `byteLength` bytes; none is 0. */
  integer(byteLength: number): number | bigint {
    const hex = Buffer.from(this.take(byteLength)).reverse().toString("hex");
    const integer = BigInt.asIntN(byteLength * 8, BigInt(`0x0${hex}`));
    const small = Number(integer);
    return Number.isSafeInteger(small) ? small : integer;
  }

  /** Up to the next newline, which is taken but not given. */
  line(): string {
    const end = this.bytes.indexOf(0x0a, this.position);
    if (end === -1) throw new OutOfBytes();
    const line = this.text(end - this.position);
    this.advance(1);
    return line;
  }

  text(byteLength: number): string {
    const bytes = this.take(byteLength);
    try {
      return utf8.decode(bytes);
    } catch (cause) {
      throw this.makeError("pickle-malformed", "A string in the pickle is not UTF-8.", { cause });
    }
  }
}
