import type { TargetFormat } from "../formats/table.js";
import type { HubOptions } from "../hub/hub-settings.js";
import type { KernelChoice } from "../kernel/select.js";
import type { Reporter } from "../progress.js";

/** How a folder is made, whatever is in it. */
export interface OutputOptions {
  /** How the weights are stored; default `safetensors`. */
  readonly format?: TargetFormat;
  /** Largest shard in bytes; default 5 GB, as transformers 4. */
  readonly maxShardBytes?: number;
  /** Worker threads, 1 to 256; default one for each core, at most 4, or 2 where weights are streamed. */
  readonly threads?: number;
  /** How to do the arithmetic; default `auto`. */
  readonly kernel?: KernelChoice;
  /** Replace a folder that exists, once the new one is whole; default false. */
  readonly overwrite?: boolean;
  /** Throw away what an interrupted run of the same work has finished; default false. */
  readonly restart?: boolean;
  /** Wait until everything is on the disk; default true. Without it an interrupted run starts over. */
  readonly sync?: boolean;
  /** Write `SHA256SUMS` beside the weights; default false. */
  readonly checksums?: boolean;
  /**
   * How the Hub is reached; what isn't given is as huggingface_hub has it, but for the environment, which isn't
   * read.
   */
  readonly hub?: HubOptions;
  readonly reporter?: Reporter;
  readonly signal?: AbortSignal;
}
