import { BIG_INTS, isBigIntType, isNumberType, NUMBERS } from "./constants.js";
import type { GgufScalarType } from "./metadata.js";

const FIRST_BYTES = 64 * 1024;

/** The bytes of a header, put one behind the other: a vocabulary is some hundred thousand values. */
export class HeaderBytes {
  #bytes = Buffer.alloc(FIRST_BYTES);
  #view = viewOf(this.#bytes);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** The value is one of the type's: `GgufEntry` says which. */
  put(type: GgufScalarType, value: number | bigint | boolean | string): void {
    if (type === "string") this.#putText(value as string);
    else if (type === "bool") this.put("u8", value ? 1 : 0);
    else if (isNumberType(type)) {
      const { bytes, method } = NUMBERS[type];
      const at = this.#reserve(bytes);
      this.#view[`set${method}`](at, value as number, true);
    } else if (isBigIntType(type)) {
      const { bytes, method } = BIG_INTS[type];
      const at = this.#reserve(bytes);
      this.#view[`set${method}`](at, value as bigint, true);
    }
  }

  /** One behind the other. */
  putAll(type: GgufScalarType, values: readonly (number | bigint | boolean | string)[]): void {
    if (isNumberType(type)) {
      // In memory they are as in the file: little-endian.
      const numbers = new globalThis[`${NUMBERS[type].method}Array`](values as number[]);
      this.putBytes(new Uint8Array(numbers.buffer));
    } else for (const value of values) this.put(type, value);
  }

  /** As they stand in the file. */
  putBytes(bytes: Uint8Array): void {
    const at = this.#reserve(bytes.length);
    this.#bytes.set(bytes, at);
  }

  /** All of them, with zeros behind them up to that length. */
  paddedTo(length: number): Buffer {
    this.#reserve(length - this.#length);
    return this.#bytes.subarray(0, length);
  }

  #putText(text: string): void {
    const at = this.#reserve(8 + 3 * text.length);
    const length = this.#bytes.write(text, at + 8);
    this.#view.setUint32(at, length, true);
    this.#length = at + 8 + length;
  }

  /** Where the next bytes go, which are zeros. */
  #reserve(length: number): number {
    const at = this.#length;
    this.#length += length;
    if (this.#length > this.#bytes.length) {
      const larger = Buffer.alloc(Math.max(2 * this.#bytes.length, this.#length));
      this.#bytes.copy(larger, 0, 0, at);
      this.#bytes = larger;
      this.#view = viewOf(larger);
    }
    return at;
  }
}

function viewOf({ buffer, byteOffset, byteLength }: Buffer): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}
