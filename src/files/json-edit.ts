/**
 * Changes one value in a JSON text and leaves every other character as it was written. One walk over the text, whatever
 * is in it: it is JSON already, or Python's, so that the ends of strings and brackets are all there is to find.
 */
import { endOfSpace, endOfString } from "./json-reader.js";

export type JsonPath = readonly (string | number)[];

/** A member of an object or an item of a list. */
interface Member {
  /** Of the key; in a list, of the value. */
  readonly start: number;
  readonly valueStart: number;
  readonly end: number;
}

interface Container {
  /** Of its brackets. */
  readonly start: number;
  readonly end: number;
  readonly first: Member | null;
  readonly last: Member | null;
  /** The member that was looked for, with its neighbours, and how many there are of its key. */
  readonly found: Member | null;
  readonly before: Member | null;
  readonly after: Member | null;
  readonly count: number;
}

/** A key that stands twice: readers disagree on which one counts. */
export class TwiceError extends Error {}

/**
 * The text with the value at a path set, or removed where it is `undefined`. Every container on the way is there; only
 * the last step may be new. Throws a `TwiceError`.
 */
export function editJson(text: string, path: JsonPath, value: unknown): string {
  const written = value === undefined ? undefined : writtenValue(value, path.length);
  let at = endOfSpace(text, 0);
  for (const step of path.slice(0, -1)) at = requireFound(look(text, at, step), step).valueStart;
  const last = path.at(-1);
  if (last === undefined) return text.slice(0, at) + written + text.slice(endOfValue(text, at));
  const container = look(text, at, last);
  if (written === undefined) return without(text, container);
  if (container.found !== null) {
    return (
      text.slice(0, requireFound(container, last).valueStart) + written + text.slice(container.found.end)
    );
  }
  return withMember(
    text,
    container,
    typeof last === "string" ? `${JSON.stringify(last)}: ${written}` : written,
    path.length,
  );
}

/** The text with more items at the end of a list. */
export function appendJson(text: string, path: JsonPath, items: readonly unknown[]): string {
  const depth = path.length + 1;
  const written = items.map((item) => writtenValue(item, depth)).join(`,\n${indentOf(depth)}`);
  let at = endOfSpace(text, 0);
  for (const step of path) at = requireFound(look(text, at, step), step).valueStart;
  return withMember(text, look(text, at, Number.POSITIVE_INFINITY), written, depth);
}

const indentOf = (depth: number) => "  ".repeat(depth);

/** As transformers writes it. */
function writtenValue(value: unknown, depth: number): string {
  return JSON.stringify(value, null, 2).replaceAll("\n", `\n${indentOf(depth)}`);
}

function requireFound({ found, count }: Container, step: string | number): Member {
  if (count > 1) throw new TwiceError(`${step}`);
  if (found === null) throw new Error(`there is no ${step} to go into`);
  return found;
}

function without(text: string, { found, before, after, start, end, count }: Container): string {
  if (found === null) return text;
  if (count > 1) throw new TwiceError(text.slice(found.start, found.valueStart));
  if (before !== null) return text.slice(0, before.end) + text.slice(found.end);
  if (after !== null) return text.slice(0, found.start) + text.slice(after.start);
  return text.slice(0, start + 1) + text.slice(end - 1);
}

/** Behind the last member, laid out as the first is; in an empty container, as transformers would. */
function withMember(
  text: string,
  { start, end, first, last }: Container,
  written: string,
  depth: number,
): string {
  if (first === null || last === null) {
    const outer = `\n${indentOf(depth - 1)}`;
    return `${text.slice(0, start + 1)}\n${indentOf(depth)}${written}${outer}${text.slice(end - 1)}`;
  }
  const space = text.slice(start + 1, first.start);
  return `${text.slice(0, last.end)},${space === "" ? " " : space}${written}${text.slice(last.end)}`;
}

/** Walks over a container; `step` is a key in an object, a number in a list. */
function look(text: string, start: number, step: string | number): Container {
  const isObject = text[start] === "{";
  const wanted = {
    found: null as Member | null,
    before: null as Member | null,
    after: null as Member | null,
  };
  let [first, last]: (Member | null)[] = [null, null];
  let count = 0;
  let at = endOfSpace(text, start + 1);
  for (let number = 0; text[at] !== (isObject ? "}" : "]"); number++) {
    const memberStart = at;
    const keyEnd = isObject ? endOfString(text, at) : at;
    const valueStart = isObject ? endOfSpace(text, endOfSpace(text, keyEnd) + 1) : at;
    const member = { start: memberStart, valueStart, end: endOfValue(text, valueStart) };
    if (count > 0 && wanted.after === null) wanted.after = member;
    if (isObject ? JSON.parse(text.slice(memberStart, keyEnd)) === step : number === step) {
      if (count++ === 0) Object.assign(wanted, { found: member, before: last });
    }
    first ??= member;
    last = member;
    at = endOfSpace(text, member.end);
    if (text[at] === ",") at = endOfSpace(text, at + 1);
  }
  return { start, end: at + 1, first: first ?? null, last: last ?? null, ...wanted, count };
}

const CLOSING = /[\s,\]}]/g;
const MARK = /["[\]{}]/g;

/** The index behind the value that begins at an index. */
function endOfValue(text: string, start: number): number {
  const first = text[start];
  if (first === '"') return endOfString(text, start);
  if (first !== "{" && first !== "[") {
    CLOSING.lastIndex = start;
    return CLOSING.exec(text)?.index ?? text.length;
  }
  for (let [depth, at] = [0, start]; ; ) {
    MARK.lastIndex = at;
    const found = MARK.exec(text);
    if (found === null) return text.length;
    const mark = found[0];
    if (mark === '"') {
      at = endOfString(text, found.index);
      continue;
    }
    depth += mark === "{" || mark === "[" ? 1 : -1;
    at = found.index + 1;
    if (depth === 0) return at;
  }
}
