/** What an inspection found: the document that `inspect --json` prints. */
import type { LayerChange } from "../base-check/layer-change.js";
import type { ModelConfig } from "../llama/model-config.js";
import type { Recognition } from "../llama/recognize.js";
import type { TokenizerState } from "../llama/tokenizer-state.js";
import type { DType } from "../tensor.js";

/** A tensor of a checkpoint. */
export interface InspectedTensor {
  /** Its name. */
  readonly name: string;
  /** Its dtype. */
  readonly dtype: DType;
  /** Its extents; none for a scalar. */
  readonly shape: readonly number[];
  /** Its size. */
  readonly bytes: number;
  /** Name of the file it lies in. */
  readonly file: string;
}

/** What config.json says of a model, and what follows from it. */
export interface InspectedConfig extends ModelConfig {
  /** Length of the context in tokens, scaling included; null where the file doesn't say. */
  readonly contextTokens: number | null;
}

/** How much a model changes its base. */
export interface InspectedChange extends LayerChange {
  /** The path of the base that was read. */
  readonly base: string;
}

/** What a checkpoint holds: what `inspect` prints with `--json`. */
export interface InspectDocument {
  /** The path of the folder or file that was read. */
  readonly model: string;
  /** The formats of its weights files, in words. */
  readonly formats: readonly string[];
  /** Elements of all weights; the buffers of position encodings aren't among them. */
  readonly parameters: number;
  /** Size of the weights files. */
  readonly bytes: number;
  /** Its dtypes, and what is in each. */
  readonly dtypes: readonly {
    /** The dtype. */
    readonly dtype: DType;
    /** Tensors of it. */
    readonly tensors: number;
    /** Their elements. */
    readonly elements: number;
    /** Their size. */
    readonly bytes: number;
  }[];
  /** Its weights files. */
  readonly shards: readonly {
    /** Its name. */
    readonly file: string;
    /** Its size. */
    readonly bytes: number;
    /** Tensors in it. */
    readonly tensors: number;
  }[];
  /** The names that were asked for; null where all are listed. */
  readonly filter: string | null;
  /** How many tensors there are, before the filter. */
  readonly tensorCount: number;
  /** In state-dict order, those the filter lets through. */
  readonly tensors: readonly InspectedTensor[];
  /** What config.json says of the model; null where there is none. */
  readonly config: InspectedConfig | null;
  /** Which tokenizer files there are, and whether they fit. */
  readonly tokenizer: TokenizerState;
  /** Which release of Vicuna it is. */
  readonly release: Recognition;
  /** How much it changes the base; null without one. */
  readonly change: InspectedChange | null;
  /** What is odd about the files, a sentence each. */
  readonly notes: readonly string[];
}
