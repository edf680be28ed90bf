/** Where two JSON values differ. Numbers are compared as values: `1.0` is `1`. The order of keys doesn't count. */

export interface JsonDifference {
  /** `rope_scaling.factor`, `merges[17]`, `vocab["a.b"]`; empty for the whole. */
  readonly at: string;
  /** The last key on the way; null for an item of a list, and for the whole. */
  readonly key: string | null;
  /** JSON text; null if that side has no such place. */
  readonly a: string | null;
  readonly b: string | null;
}

/** Yields as it goes: two vocabularies may differ in every token. The caller bounds the nesting. */
export function* jsonDifferences(
  a: unknown,
  b: unknown,
  at = "",
  key: string | null = null,
): Generator<JsonDifference> {
  if (Array.isArray(a) && Array.isArray(b)) {
    for (let i = 0; i < Math.max(a.length, b.length); i++) yield* jsonDifferences(a[i], b[i], `${at}[${i}]`);
  } else if (isObject(a) && isObject(b)) {
    const onlyInB = Object.keys(b).filter((name) => !Object.hasOwn(a, name));
    for (const name of [...Object.keys(a), ...onlyInB])
      yield* jsonDifferences(own(a, name), own(b, name), step(at, name), name);
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

/** `undefined` stands for a missing place. */
function textOf(value: unknown): string | null {
  return value === undefined ? null : JSON.stringify(value);
}
