import { ApplyDeltaError, type ErrorCode, type ErrorDetails } from "../../errors.js";
import type { RandomAccessFile } from "../../tensor.js";
import type { HeaderReader } from "../header-reader.js";
import { BIG_INTS, NUMBERS } from "./constants.js";
import type { GgufBigIntType, GgufNumberType } from "./metadata.js";

/** What is read of the file at a time: nearly all headers are this short. */
const CHUNK_BYTES = 1024 * 1024;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Reads a header from front to back, little-endian. `need` says what comes next; the others take it. */
export class HeaderCursor {
  readonly #file: HeaderReader<RandomAccessFile>;
  #window: Buffer = Buffer.alloc(0);
  /** Where the window begins in the file, and what was taken of it. */
  #windowStart = 0;
  #taken = 0;

  constructor(file: HeaderReader<RandomAccessFile>) {
    this.#file = file;
  }

  /** Where the next byte is in the file. */
  get position(): number {
    return this.#windowStart + this.#taken;
  }

  /** Bytes of the file from there on. */
  get rest(): number {
    return this.#file.byteLength - this.position;
  }

  /** Whether `need` has nothing to wait for. */
  has(byteLength: number): boolean {
    return this.#taken + byteLength <= this.#window.length;
  }

  /** Has the next bytes ready. Errors: `truncated-file`, `too-large`. */
  async need(byteLength: number): Promise<void> {
    if (this.has(byteLength)) return;
    const start = this.position;
    if (byteLength > this.rest) {
      throw this.refusal("truncated-file", "The file ends inside its header.", {
        offsetBytes: this.#file.byteLength,
        expected: `${byteLength} bytes at ${start}`,
        got: `${this.#file.byteLength} bytes in all`,
      });
    }
    const bytes = await this.#file.read(start, Math.min(this.rest, Math.max(byteLength, CHUNK_BYTES)));
    this.#window = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#windowStart = start;
    this.#taken = 0;
  }

  bytes(byteLength: number): Buffer {
    const at = this.#take(byteLength);
    return this.#window.subarray(at, at + byteLength);
  }

  number(type: GgufNumberType): number {
    const { bytes, method } = NUMBERS[type];
    return this.#view(bytes)[`get${method}`](0, true);
  }

  bigInt(type: GgufBigIntType): bigint {
    const { bytes, method } = BIG_INTS[type];
    return this.#view(bytes)[`get${method}`](0, true);
  }

  /** A string, with its length before it. Errors: those of `need`, `header-malformed`. */
  async string(): Promise<string> {
    if (!this.has(8)) await this.need(8);
    const length = this.bigInt("u64");
    if (length > this.rest) throw this.malformed(`a string claims ${length} bytes`);
    const byteLength = Number(length);
    if (!this.has(byteLength)) await this.need(byteLength);
    try {
      return utf8.decode(this.bytes(byteLength));
    } catch {
      throw this.malformed("a string is not UTF-8");
    }
  }

  /** Allows for the items of an array, each of so many bytes at least. Errors: `header-malformed`, `too-large`. */
  claimItems(count: bigint, leastBytes: number): void {
    if (Number(count) * leastBytes > this.rest) throw this.malformed(`an array claims ${count} items`);
    this.#file.budget.spend("values", Number(count), this.#file.path);
  }

  refusal(code: ErrorCode, message: string, details: ErrorDetails = {}): ApplyDeltaError {
    return new ApplyDeltaError(code, message, { file: this.#file.path, ...details });
  }

  malformed(what: string, tensor?: string): ApplyDeltaError {
    return this.refusal("header-malformed", `The GGUF's header is malformed: ${what}.`, {
      offsetBytes: this.position,
      ...(tensor === undefined ? {} : { tensor }),
      hint: "The file is damaged: download it again, or make it anew.",
    });
  }

  #view(byteLength: number): DataView {
    const at = this.#take(byteLength);
    return new DataView(this.#window.buffer, this.#window.byteOffset + at, byteLength);
  }

  #take(byteLength: number): number {
    const at = this.#taken;
    this.#taken += byteLength;
    return at;
  }
}
