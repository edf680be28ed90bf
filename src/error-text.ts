/** An error as a user reads it. */
import type { ReportedDetails } from "./documents.js";
import { printable } from "./printable.js";
import { formatBytes, formatExact } from "./units.js";

/** The headline, and a line for each fact that it doesn't have; the sizes as people read them. */
export function formatError(headline: string, details: ReportedDetails): string {
  const { file, tensor, offsetBytes } = details;
  const { expected, got, hint } = withReadableSizes(details);
  const facts = { file, "at byte": offsetBytes, tensor, expected, got, "what now": hint };
  const lines = Object.entries(facts)
    .filter(([, value]) => value !== undefined && !isIn(headline, value))
    .map(([label, value]) => `  ${`${label}:`.padEnd(9)} ${value}`);
  return [headline, ...lines].map(printable).join("\n");
}

/** A shorter fact may be in a headline by chance. */
const LEAST_LENGTH = 4;

/** Whether a fact is among the words of a headline. */
function isIn(headline: string, fact: string | number): boolean {
  if (typeof fact === "number" || fact.length < LEAST_LENGTH) return false;
  const words = (text: string) => ` ${text.replace(/[,.:;()]*(?:\s+[,.:;()]*|$)/g, " ").trim()} `;
  return words(headline).includes(words(fact));
}

type SizedFacts = Pick<ReportedDetails, "expected" | "got" | "hint">;

/** `14485798912 bytes` as 14.5 GB; where what was expected and found would look the same, in every digit. */
function withReadableSizes({ expected, got, hint }: SizedFacts): {
  readonly [Fact in keyof SizedFacts]: SizedFacts[Fact] | undefined;
} {
  const inEach = (write: (bytes: number) => string) => {
    const inText = <Fact>(fact: Fact) =>
      (typeof fact === "string"
        ? fact.replace(SIZE, (size) => write(Number.parseInt(size, 10)))
        : fact) as Fact;
    return { expected: inText(expected), got: inText(got), hint: inText(hint) };
  };
  const rounded = inEach(formatBytes);
  const isClear = expected === got || rounded.expected !== rounded.got;
  return isClear ? rounded : inEach((bytes) => `${formatExact(bytes)} bytes`);
}

const SIZE = /\b\d{4,} bytes\b/g;
