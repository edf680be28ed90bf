/** A merge cut in parts, for several machines: which shards are whose, known to each from the plan alone. */
import { ApplyDeltaError } from "../errors.js";
import { MOST_PARTS } from "../target/journal.js";
import { sumOf } from "../units.js";
import type { MergePlan } from "./merge-plan.js";

/** Part `number` (from 1) of `count`. */
export interface Part {
  readonly number: number;
  readonly count: number;
}

/** Reads `2/4`. Errors: `bad-usage`. */
export function readPart(text: string): Part {
  const [, number = 0, count = 0] = (/^(\d{1,4})\/(\d{1,4})$/.exec(text) ?? []).map(Number);
  if (number >= 1 && number <= count && count <= MOST_PARTS) return { number, count };
  throw new ApplyDeltaError("bad-usage", `Invalid part: ${JSON.stringify(text)}.`, {
    expected: `i/n, with i from 1 to n, and n at most ${MOST_PARTS}`,
    hint: "Number the parts from 1: --part 1/4 to --part 4/4.",
  });
}

/**
 * The plan of a part: the same tensors, and only its shards. A shard belongs to the part in whose stretch of the target
 * its middle lies, so each part has neighbouring shards of about the same number of bytes, on every machine the same.
 */
export function planOfPart(plan: MergePlan, { number, count }: Part): MergePlan {
  const shards: MergePlan["shards"][number][] = [];
  let before = 0;
  for (const shard of plan.shards) {
    const middle = before + shard.byteLength / 2;
    before += shard.byteLength;
    if (Math.floor((middle * count) / plan.bytesToWrite) + 1 === number) shards.push(shard);
  }
  return { ...plan, shards, bytesToWrite: sumOf(shards, ({ byteLength }) => byteLength) };
}

/** What to say where there are too few shards for each part to have one; else null. */
export function describeIdleParts(plan: MergePlan, count: number): string | null {
  const numbers = Array.from({ length: count }, (_, i) => i + 1);
  const idle = numbers.filter((number) => planOfPart(plan, { number, count }).shards.length === 0).length;
  if (idle === 0) return null;
  const kilobytes = Math.max(1, Math.floor(plan.bytesToWrite / count / 1e3));
  const size = kilobytes < 10_000 ? `${kilobytes}KB` : `${Math.floor(kilobytes / 1e3)}MB`;
  return `${idle} of ${count} parts have nothing to do: the target has only ${plan.shards.length} shards. For more of them, give every part --max-shard-size ${size}.`;
}
