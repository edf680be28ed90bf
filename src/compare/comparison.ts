/** What a comparison found: the document that `compare --json` prints. */
import type { FileComparison } from "./compare-files.js";
import type { TensorComparison } from "./compare-tensors.js";
import type { Tolerance } from "./element-tally.js";
import type { Pairing } from "./pair-tensors.js";

/** A tensor that isn't equal in every bit. */
export interface DifferingTensor extends TensorComparison {
  /** Whether every element is within the tolerance; false where bits were compared. */
  readonly isWithinTolerance: boolean;
}

/** How two models differ: what `compare` prints with `--json`. */
export interface Comparison extends Omit<Pairing, "pairs" | "rotaryOnlyIn"> {
  /** The first model, as it was given. */
  readonly a: string;
  /** The second. */
  readonly b: string;
  /**
   * Whether they are equal: within the tolerance, or in every bit; config and tokenizer too, unless they were left
   * out.
   */
  readonly isEqual: boolean;
  /** What counted as equal; null where bits were compared. */
  readonly tolerance: Tolerance | null;
  /** How many tensors there are of each kind, of those that both sides have and that can be compared. */
  readonly tensors: {
    /** All of them. */
    readonly compared: number;
    /** Equal in every bit. */
    readonly equalBits: number;
    /** Not equal in every bit, but within the tolerance. */
    readonly withinTolerance: number;
    /** Neither. */
    readonly different: number;
  };
  /** Elements of those tensors. */
  readonly elements: number;
  /** The tensors that aren't equal in every bit, the most different first. */
  readonly differing: readonly DifferingTensor[];
  /** Config and tokenizer, file by file; null where they were left out. */
  readonly files: readonly FileComparison[] | null;
  /** What is no difference and yet worth knowing, a sentence each. */
  readonly notes: readonly string[];
  /** What a difference may come from, a sentence each. */
  readonly hints: readonly string[];
  /** From the opening of the models to the end. */
  readonly seconds: number;
  /** Worker threads. */
  readonly threads: number;
}
