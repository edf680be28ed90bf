/** A run of elements that a sample reads of two tensors of one name: what is said beforehand of what will be read. */
import type { ReadableFile, TensorView } from "../tensor.js";

export interface SampledRun {
  readonly base: TensorView<ReadableFile>;
  /** The delta's, or the tuned model's. */
  readonly other: TensorView<ReadableFile>;
  /** In row-major order. */
  readonly first: number;
  /** In elements. */
  readonly length: number;
}
