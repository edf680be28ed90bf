/**
 * What a checkpoint or a listing may cost in all. A cap on a file bounds no folder of a thousand files: so everything
 * that grows with what an author wrote is paid for here, before it is made. A reader of weights is handed the budget with
 * the file (formats/header-reader.ts).
 */
import { ApplyDeltaError } from "./errors.js";

/** A limit, and what there is too much of, where it is passed. LLaMA's largest checkpoints cost some percent of each. */
const COSTS = {
  files: { most: 1 << 12, what: "weights files in the checkpoint" },
  /** LLaMA's largest has 1,138. */
  tensors: { most: 1 << 13, what: "tensors in the checkpoint" },
  nameBytes: { most: 16 << 20, what: "bytes of tensor names in the checkpoint" },
  /** Everything that is read of weights files and their index before a tensor's data is. */
  headerBytes: { most: 32 << 20, what: "bytes of headers in the checkpoint" },
  /** Of JSON and of what is like it. */
  values: { most: 1 << 21, what: "values in the checkpoint's headers" },
  /** Of a repository's listing, over all of its pages. */
  entries: { most: 1 << 16, what: "files in the repository" },
  listingBytes: { most: 32 << 20, what: "bytes in the repository's listing" },
} as const;

export type Cost = keyof typeof COSTS;

/** The longest tensor name; real ones have some 60 characters. */
const MAX_NAME_BYTES = 4096;

/** Characters of a longer name that an error shows. */
const MAX_EXCERPT = 100;

const HINT = "No model is as large as this: check where it came from, and download it again.";

export class Budget {
  readonly #spent: Partial<Record<Cost, number>> = {};

  /** Pays for something that is about to be made. `file` is for the error. Errors: `too-large`. */
  spend(cost: Cost, amount: number, file: string): void {
    const spent = (this.#spent[cost] ?? 0) + amount;
    const { most, what } = COSTS[cost];
    if (spent > most) {
      throw new ApplyDeltaError("too-large", `Too many ${what}.`, {
        file,
        expected: `at most ${most} in all`,
        got: `${spent} or more`,
        hint: HINT,
      });
    }
    this.#spent[cost] = spent;
  }

  /** Pays for a tensor of this name. Errors: `too-large`. */
  spendTensor(name: string, file: string): void {
    // A UTF-16 unit takes up to three bytes.
    const byteLength = name.length * 3 > MAX_NAME_BYTES ? Buffer.byteLength(name) : name.length;
    if (byteLength > MAX_NAME_BYTES) {
      throw new ApplyDeltaError("too-large", "A tensor's name is longer than any model's.", {
        file,
        tensor: `${name.slice(0, MAX_EXCERPT)}…`,
        expected: `at most ${MAX_NAME_BYTES} bytes`,
        got: `${byteLength} bytes`,
        hint: HINT,
      });
    }
    this.spend("tensors", 1, file);
    this.spend("nameBytes", byteLength, file);
  }
}
