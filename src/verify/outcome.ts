import { listed } from "../units.js";
import type { Check, CheckName } from "./documents.js";

const MOST_LISTED = 3;

export function ok(name: CheckName, detail: string): Check {
  return { name, status: "ok", detail };
}

export function skipped(name: CheckName, detail: string): Check {
  return { name, status: "skipped", detail };
}

export function failed(name: CheckName, faults: readonly string[]): Check {
  return { name, status: "failed", detail: listFaults(faults) };
}

export const listFaults = (faults: readonly string[]) => listed(faults, MOST_LISTED, "; ");

export function judged(name: CheckName, faults: readonly string[], detail: string): Check {
  return faults.length > 0 ? failed(name, faults) : ok(name, detail);
}

/**
 * The faults of what is missing, another than it should be, or one too many, by name. `than`: "not"; `isStray`: what is
 * said of one too many.
 */
export function compareByName(
  got: ReadonlyMap<string, string>,
  wanted: ReadonlyMap<string, string>,
  than: string,
  isStray: string,
): string[] {
  const faults = [...wanted].flatMap(([name, value]) => {
    if (!got.has(name)) return [`${name} is missing`];
    return got.get(name) === value ? [] : [`${name} is ${got.get(name)}, ${than} ${value}`];
  });
  const strays = [...got.keys()].filter((name) => !wanted.has(name));
  return [...faults, ...strays.map((name) => `${name} ${isStray}`)];
}

/** Of tensors by their names, for `compareByName`. */
export function shapesOf(shapes: Iterable<readonly [string, readonly number[]]>): Map<string, string> {
  return new Map(Array.from(shapes, ([name, shape]) => [name, shape.join(" x ")]));
}
