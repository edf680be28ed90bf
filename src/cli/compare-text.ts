/**
 * What `compare` finds: the document that `--json` prints, and the same for a terminal, on one screen.
 * Pure: a document in, text out. No control character of a name reaches the terminal.
 */
import type {
  Comparison,
  FileComparison,
  FileKey,
  TensorComparison,
  Tolerance,
} from "../compare/documents.js";
import { formatCount, formatSeconds, plural } from "../units.js";
import { type Palette, PLAIN, table, withPrintableStrings } from "./terminal.js";

/** How many tensors or names are listed before "and N more", and keys of one file. */
const LISTED = 10;
const LISTED_KEYS = 4;

export interface CompareTextOptions {
  /** Lists everything. */
  readonly all: boolean;
  readonly paint?: Palette;
}

/** The verdict, then what differs. */
export function formatComparison(untrusted: Comparison, { all, paint = PLAIN }: CompareTextOptions): string {
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
  const written = sections.filter((lines) => lines.length > 0);
  return written.map((lines) => lines.join("\n")).join("\n\n");
}

function verdict(comparison: Comparison, paint: Palette): string {
  const { isEqual, tensors, tolerance, files } = comparison;
  const beside = files === null ? "" : "; config and tokenizer too";
  if (!isEqual) return `${paint.bad("different:")} ${whatDiffers(comparison).join("; ")}`;
  if (tensors.withinTolerance === 0)
    return `${paint.good("equal:")} ${plural(tensors.compared, "tensor")}, every bit${beside}`;
  return `${paint.good(`equal ${withinText(tolerance)}:`)} ${plural(tensors.compared, "tensor")}, ${formatCount(tensors.equalBits)} of them in every bit${beside}`;
}

function whatDiffers(comparison: Comparison): string[] {
  const { tensors, onlyInA, onlyInB, otherShapes, otherDTypes, files } = comparison;
  const names = (files ?? []).filter(({ isDifferent }) => isDifferent).map(({ file }) => file);
  const part = (length: number, text: string) =>
    length === 0 ? [] : [`${plural(length, "tensor")} ${text}`];
  return [
    ...(tensors.different === 0 ? [] : [differentTensors(comparison)]),
    ...part(onlyInA.length, "only in a"),
    ...part(onlyInB.length, "only in b"),
    ...part(otherShapes.length, "of other shapes"),
    ...part(otherDTypes.length, "of dtypes that can't be compared"),
    ...(names.length === 0 ? [] : [names.join(", ")]),
    ...(tensors.different === 0 ? [equalTensors(comparison)] : []),
  ];
}

function differentTensors({ tensors, elements, differing, tolerance }: Comparison): string {
  const different = differing.filter(({ isWithinTolerance }) => !isWithinTolerance);
  const ofTensors = `${tensors.different.toLocaleString("en-US")} of ${plural(tensors.compared, "tensor")}`;
  if (different.every(({ differentValues }) => differentValues === 0)) {
    const dtypes = different.some(({ dtypes: { a, b } }) => a !== b);
    const what = dtypes ? "dtypes differ" : "bits differ (-0, or another NaN)";
    return `${ofTensors}: ${what}, but every value is equal (--tolerance 0 compares values)`;
  }
  const count = different.reduce((sum, tensor) => sum + differenceCount(tensor, tolerance), 0);
  const beyond = tolerance === null ? "" : ` not ${withinText(tolerance)}`;
  return `${ofTensors}, ${count.toLocaleString("en-US")} of ${formatCount(elements)} elements${beyond}`;
}

function equalTensors({ tensors: { compared, withinTolerance }, tolerance }: Comparison): string {
  if (compared === 0) return "no tensor can be compared";
  const how = withinTolerance === 0 ? "in every bit" : withinText(tolerance);
  return `the ${plural(compared, "tensor")} of both ${compared === 1 ? "is" : "are"} equal ${how}`;
}

/** Elements that make the tensor different. */
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
  const heading = [
    "tensor",
    "dtype",
    tolerance === null ? "differ" : "beyond",
    "|a-b| up to",
    "at",
    "relative",
  ];
  return [...table([heading, ...rows]), ...andMore(listed.length, most, "tensor")];
}

/** `5 of 4,096`; `5 of 4,096 (3 in value)` where bits differ and values don't. */
function countsOf(tensor: TensorComparison, tolerance: Tolerance | null): string {
  const { differentBits, differentValues, elements } = tensor;
  const inBitsAlone =
    tolerance === null &&
    differentBits !== null &&
    differentValues !== null &&
    differentBits !== differentValues;
  const values = inBitsAlone ? ` (${differentValues.toLocaleString("en-US")} in value)` : "";
  return `${differenceCount(tensor, tolerance).toLocaleString("en-US")} of ${formatCount(elements)}${values}`;
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
  const shape = (extents: readonly number[]) => `[${extents.join(", ")}]`;
  return [
    ...listing("only in a", onlyInA, most),
    ...listing("only in b", onlyInB, most),
    ...listing(
      "other shapes",
      otherShapes.map(({ name, a, b }) => `${name}: a ${shape(a)}, b ${shape(b)}`),
      most,
    ),
    ...listing(
      "dtypes that can't be compared",
      otherDTypes.map(({ name, a, b }) => `${name}: a ${a}, b ${b}`),
      most,
    ),
  ];
}

function listing(title: string, items: readonly string[], most: number): string[] {
  if (items.length === 0) return [];
  return [
    `  ${title} (${items.length.toLocaleString("en-US")})`,
    ...items.slice(0, most).map((item) => `    ${item}`),
    ...andMore(items.length, most, "tensor").map((line) => `  ${line}`),
  ];
}

function andMore(count: number, most: number, noun: string): string[] {
  return count <= most ? [] : [`  … and ${plural(count - most, `more ${noun}`)} (--all lists them)`];
}

function describeFile(
  { file, isDifferent, onlyIn, differences, notes, keys }: FileComparison,
  most: number,
): string[] {
  if (onlyIn !== null)
    return [`  ${file}: only in ${onlyIn}${isDifferent ? "" : " (no difference: both have the vocabulary)"}`];
  const ofKind = (isNote: boolean) => keys.filter((key) => key.isNote === isNote);
  const lines = (all: readonly FileKey[]) => all.slice(0, most).map((key) => `    ${describeKey(key)}`);
  const more = (count: number) => andMore(count, most, "place").map((line) => `  ${line}`);
  return [
    ...(differences === 0
      ? []
      : [`  ${file}: ${plural(differences, "difference")}`, ...lines(ofKind(false)), ...more(differences)]),
    ...(notes === 0
      ? []
      : [
          `  ${file}: ${ofKind(true)
            .map(({ at }) => at)
            .join(", ")} (no difference to a loader)`,
        ]),
  ];
}

function describeKey({ at, a, b }: FileKey): string {
  return `${at}: a ${a ?? "has none"}, b ${b ?? "has none"}`;
}
