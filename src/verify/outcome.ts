import type { Check, CheckName } from "./documents.js";

/** Faults a line lists; the rest is counted. */
const MOST_LISTED = 3;

export function ok(name: CheckName, detail: string): Check {
  return { name, status: "ok", detail };
}

export function skipped(name: CheckName, detail: string): Check {
  return { name, status: "skipped", detail };
}

export function failed(name: CheckName, faults: readonly string[]): Check {
  return { name, status: "failed", detail: listed(faults) };
}

/** The first few, and how many more there are. */
export function listed(texts: readonly string[]): string {
  const rest = texts.length - MOST_LISTED;
  const shown = texts.slice(0, MOST_LISTED).join("; ");
  return rest > 0 ? `${shown}; and ${rest.toLocaleString("en-US")} more` : shown;
}

/** The faults of what is missing or another than it should be, by name; `than`: "not". */
export function compareByName(
  got: ReadonlyMap<string, string>,
  wanted: ReadonlyMap<string, string>,
  than: string,
): string[] {
  return [...wanted].flatMap(([name, value]) => {
    if (!got.has(name)) return [`${name} is missing`];
    return got.get(name) === value ? [] : [`${name} is ${got.get(name)}, ${than} ${value}`];
  });
}
