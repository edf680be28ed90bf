import type {
  Comparison,
  FileComparison,
  FileKey,
  TensorComparison,
  Tolerance,
} from "../compare/documents.js";
import { formatCount, formatExact, formatSeconds, plural } from "../units.js";
import { joinSections, linesIf, type Palette, PLAIN, table, withPrintableStrings } from "./terminal.js";

/** The most tensors or names listed, and keys of one file, before "and N more". */
const LISTED = 10;
const LISTED_KEYS = 4;

/** The verdict, then what differs: with `all` everything. */
export function formatComparison(untrusted: Comparison, all: boolean, paint: Palette = PLAIN): string {
  const comparison = withPrintableStrings(untrusted);
  const { a, b, files, notes, hints, seconds, threads, elements, tensors } = comparison;
  const sections = [
    [verdict(comparison, paint), `  a  ${a}`, `  b  ${b}`],
    listTensors(comparison, all ? Number.POSITIVE_INFINITY : LISTED),
    listUnpaired(comparison, all ? Number.POSITIVE_INFINITY : LISTED),
    (files ?? []).flatMap((file) => describeFile(file, all ? Number.POSITIVE_INFINITY : LISTED_KEYS)),
    [
      ...hints.map((hint) => `  hint: ${hint}`),
      ...[...dtypeNotes(comparison), ...notes].map((note) => `  note: ${note}`),
      `  ${plural(tensors.compared, "tensor")} of ${formatCount(elements)} elements compared in ${formatSeconds(seconds)}, ${plural(threads, "thread")}`,
    ],
  ];
  return joinSections(sections);
}

function verdict(comparison: Comparison, paint: Palette): string {
  const { isEqual, tensors, tolerance, files } = comparison;
  // Meta's weights come without a config.
  const compared = files?.some(({ file }) => file === "config.json") ? "config and tokenizer" : "tokenizer";
  const beside = files === null || files.length === 0 ? "" : `; ${compared} too`;
  if (!isEqual) return `${paint.bad("different:")} ${whatDiffers(comparison).join("; ")}`;
  const all = plural(tensors.compared, "tensor");
  if (tensors.withinTolerance === 0) return `${paint.good("equal:")} ${all}, every bit${beside}`;
  const within = paint.good(`equal ${withinText(tolerance)}:`);
  return `${within} ${all}, ${formatCount(tensors.equalBits)} of them in every bit${beside}`;
}

function whatDiffers(comparison: Comparison): string[] {
  const { tensors, onlyInA, onlyInB, otherShapes, otherDTypes, files } = comparison;
  const names = (files ?? []).filter(({ isDifferent }) => isDifferent).map(({ file }) => file);
  const part = (length: number, text: string) => linesIf(length > 0, `${plural(length, "tensor")} ${text}`);
  return [
    ...linesIf(tensors.different > 0, differentTensors(comparison)),
    ...part(onlyInA.length, "only in a"),
    ...part(onlyInB.length, "only in b"),
    ...part(otherShapes.length, "of other shapes"),
    ...part(otherDTypes.length, "of dtypes that can't be compared"),
    ...linesIf(names.length > 0, names.join(", ")),
    ...linesIf(tensors.different === 0, equalTensors(comparison)),
  ];
}

function differentTensors({ tensors, elements, differing, tolerance }: Comparison): string {
  const different = differing.filter(({ isWithinTolerance }) => !isWithinTolerance);
  const ofTensors = `${formatExact(tensors.different)} of ${plural(tensors.compared, "tensor")}`;
  if (different.every(({ differentValues }) => differentValues === 0)) {
    const dtypes = different.some(({ dtypes: { a, b } }) => a !== b);
    const what = dtypes ? "dtypes differ" : "bits differ (-0, or another NaN)";
    return `${ofTensors}: ${what}, but every value is equal (--tolerance 0 compares values)`;
  }
  const count = different.reduce((sum, tensor) => sum + differenceCount(tensor, tolerance), 0);
  const beyond = tolerance === null ? "" : ` not ${withinText(tolerance)}`;
  return `${ofTensors}, ${formatExact(count)} of ${formatCount(elements)} elements${beyond}`;
}

function equalTensors({ tensors: { compared, withinTolerance }, tolerance }: Comparison): string {
  if (compared === 0) return "no tensor can be compared";
  const how = withinTolerance === 0 ? "in every bit" : withinText(tolerance);
  return `the ${plural(compared, "tensor")} of both ${compared === 1 ? "is" : "are"} equal ${how}`;
}

function differenceCount(tensor: TensorComparison, tolerance: Tolerance | null): number {
  const { differentBits, differentValues, beyondTolerance } = tensor;
  if (tolerance !== null && beyondTolerance !== null) return beyondTolerance;
  return differentBits ?? differentValues ?? 0;
}

function withinText(tolerance: Tolerance | null): string {
  const { absolute, relative } = tolerance ?? { absolute: 0, relative: 0 };
  if (relative === 0) return absolute === 0 ? "in value" : `within ${absolute}`;
  return absolute === 0
    ? `within ${relative} of each other`
    : `within ${absolute}, or ${relative} of each other`;
}

/** Under a tolerance, tensors that differ in no value are left out. */
function listTensors({ differing, tolerance }: Comparison, most: number): string[] {
  const listed = differing.filter(
    ({ differentValues, isWithinTolerance }) => !isWithinTolerance || differentValues !== 0,
  );
  if (listed.length === 0) return [];
  const rows = listed
    .slice(0, most)
    .map((tensor) => [tensor.name, dtypesOf(tensor), countsOf(tensor, tolerance), ...largestCells(tensor)]);
  const count = tolerance === null ? "differ" : "beyond";
  const heading = ["tensor", "dtype", count, "|a-b| up to", "at", "relative"];
  return [...table([heading, ...rows]), ...andMore(listed.length, most, "tensor")];
}

/** `5 of 4,096`; `5 of 4,096 (3 in value)` if more bits differ than values. */
function countsOf(tensor: TensorComparison, tolerance: Tolerance | null): string {
  const { differentBits: bits, differentValues: inValue, elements } = tensor;
  const isInBitsAlone = tolerance === null && bits !== null && bits !== inValue;
  const values = isInBitsAlone && inValue !== null ? ` (${formatExact(inValue)} in value)` : "";
  return `${formatExact(differenceCount(tensor, tolerance))} of ${formatCount(elements)}${values}`;
}

function dtypesOf({ dtypes: { a, b } }: TensorComparison): string {
  return a === b ? a : `${a}, ${b}`;
}

function largestCells(tensor: TensorComparison): string[] {
  const { largestAbsolute, largestRelative, notFinite, first, differentValues } = tensor;
  const relative = largestRelative === null ? "" : formatNumber(largestRelative.difference);
  if (notFinite > 0) return [`${formatCount(notFinite)} NaN or infinite`, indexText(first), relative];
  if (largestAbsolute === null) return [differentValues === null ? "bytes" : "0", indexText(first), ""];
  return [formatNumber(largestAbsolute.difference), indexText(largestAbsolute.index), relative];
}

function indexText(index: readonly number[] | null): string {
  return index === null ? "" : `[${index.join(", ")}]`;
}

/** Three digits: `0.00195`, `1.46e-11`. */
function formatNumber(value: number): string {
  return String(Number(value.toPrecision(3)));
}

/** `F16 in a, F32 in b: 39 tensors`, for each such pair. */
function dtypeNotes({ differing }: Comparison): string[] {
  const counts = new Map<string, number>();
  for (const { dtypes } of differing.filter(({ dtypes: { a, b } }) => a !== b)) {
    const key = `${dtypes.a} in a, ${dtypes.b} in b`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return [...counts].map(([key, count]) => `dtypes differ: ${key} (${plural(count, "tensor")})`);
}

function listUnpaired({ onlyInA, onlyInB, otherShapes, otherDTypes }: Comparison, most: number): string[] {
  const shapes = otherShapes.map(({ name, a, b }) => `${name}: a ${indexText(a)}, b ${indexText(b)}`);
  const dtypes = otherDTypes.map(({ name, a, b }) => `${name}: a ${a}, b ${b}`);
  return [
    ...listing("only in a", onlyInA, most),
    ...listing("only in b", onlyInB, most),
    ...listing("other shapes", shapes, most),
    ...listing("dtypes that can't be compared", dtypes, most),
  ];
}

function listing(title: string, items: readonly string[], most: number): string[] {
  if (items.length === 0) return [];
  return [
    `  ${title} (${formatExact(items.length)})`,
    ...items.slice(0, most).map((item) => `    ${item}`),
    ...andMore(items.length, most, "tensor").map((line) => `  ${line}`),
  ];
}

function andMore(count: number, most: number, noun: string): readonly string[] {
  return count <= most ? [] : [`  … and ${plural(count - most, `more ${noun}`)} (--all lists them)`];
}

function describeFile(
  { file, isDifferent, onlyIn, differences, notes, keys }: FileComparison,
  most: number,
): string[] {
  if (onlyIn !== null)
    return [`  ${file}: only in ${onlyIn}${isDifferent ? "" : " (no difference: both have the vocabulary)"}`];
  const listed = keys.filter(({ isNote }) => !isNote).slice(0, most);
  const noted = keys.filter(({ isNote }) => isNote).map(({ at }) => at);
  const more = andMore(differences, most, "place").map((line) => `  ${line}`);
  return [
    ...linesIf(
      differences > 0,
      `  ${file}: ${plural(differences, "difference")}`,
      ...listed.map(describeKey),
      ...more,
    ),
    ...linesIf(notes > 0, `  ${file}: ${noted.join(", ")} (no difference to a loader)`),
  ];
}

function describeKey({ at, a, b }: FileKey): string {
  return `    ${at}: a ${a ?? "has none"}, b ${b ?? "has none"}`;
}
