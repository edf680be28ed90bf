import type { Budget } from "../budget.js";
import { noPause, type Pause } from "../interrupt.js";
import { type OpenFile, onePiece, type RandomAccessFile, type TensorView } from "../tensor.js";

type OnePiece = Omit<Parameters<typeof onePiece>[0], "file">;

/**
 * A weights file as a format's reader is given it: what it reads, and each view it makes, is paid from the checkpoint's
 * budget.
 */
export class HeaderReader<F extends RandomAccessFile = OpenFile> implements RandomAccessFile {
  readonly path: string;
  readonly byteLength: number;

  constructor(
    readonly file: F,
    readonly budget: Budget,
    /** To be awaited now and then in work that doesn't read. */
    readonly pause: Pause = noPause,
  ) {
    this.path = file.path;
    this.byteLength = file.byteLength;
  }

  /** Errors: `too-large`; those of the file. */
  async read(offsetBytes: number, byteLength: number): Promise<Uint8Array> {
    this.budget.spend("headerBytes", byteLength, this.path);
    return this.file.read(offsetBytes, byteLength);
  }

  /** A tensor that lies in the file; dense, if no strides are given. Errors: `too-large`. */
  view(tensor: OnePiece): TensorView<F> {
    this.budget.spendTensor(tensor.name, this.path);
    return onePiece({ ...tensor, file: this.file });
  }
}
