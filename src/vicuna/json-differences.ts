/**
 * In: two JSON values. Out: every place where they differ, in order. Numbers are compared as values: `1.0` is `1`. The order of
 * keys doesn't count. Pure.
 */

export interface JsonDifference {
  /** `rope_scaling.factor`, `merges[17]`, `vocab["a.b"]`; empty for the whole. */
  readonly at: string;
  /** The last key on the way; null for an item of a list, and for the whole. */
  readonly key: string | null;
  /** JSON text; null where there is no such place on that side. */
  readonly a: string | null;
  readonly b: string | null;
}

/** Deeper than any config; what lies below is compared as text. Stops a file of a million `[` from filling the stack. */
const MAX_DEPTH = 64;

/** Yields as it goes: two vocabularies may differ in every token. */
export function* jsonDifferences(a: unknown, b: unknown): Generator<JsonDifference> {
  yield* differences(a, b, "", null, 0);
}

function* differences(
  a: unknown,
  b: unknown,
  at: string,
  key: string | null,
  depth: number,
): Generator<JsonDifference> {
  if (a === b) return;
  if (depth < MAX_DEPTH && Array.isArray(a) && Array.isArray(b)) {
    for (let i = 0; i < Math.max(a.length, b.length); i++)
      yield* differences(a[i], b[i], `${at}[${i}]`, null, depth + 1);
  } else if (depth < MAX_DEPTH && isObject(a) && isObject(b)) {
    for (const name of [...Object.keys(a), ...Object.keys(b).filter((name) => !Object.hasOwn(a, name))])
      yield* differences(own(a, name), own(b, name), step(at, name), name, depth + 1);
  } else {
    const [left, right] = [textOf(a), textOf(b)];
    if (left !== right) yield { at, key, a: left, b: right };
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** `__proto__` and `constructor` are keys like any other. */
function own(object: Record<string, unknown>, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

function step(at: string, name: string): string {
  if (!/^[\w-]+$/.test(name)) return `${at}[${JSON.stringify(name)}]`;
  return at === "" ? name : `${at}.${name}`;
}

/** `undefined` is no JSON value: it stands for what isn't there. */
function textOf(value: unknown): string | null {
  return value === undefined ? null : JSON.stringify(value);
}
