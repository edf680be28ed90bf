/**
 * The releases of Vicuna as a table for a terminal, and as the document that `weights --json` prints.
 * Pure: data in, text and values out. The table fits 100 columns.
 */

import type { Release, WeightsDocument } from "../llama/documents.js";
import { nameOf } from "../llama/releases.js";

/** Stands for what no source says. */
const UNKNOWN = "-";

const COLUMNS: readonly { readonly heading: string; readonly cell: (release: Release) => string }[] = [
  { heading: "version", cell: ({ version }) => version },
  { heading: "kind", cell: ({ kind }) => kind },
  { heading: "base", cell: ({ base }) => base },
  { heading: "date", cell: ({ date }) => date ?? UNKNOWN },
  { heading: "fschat", cell: ({ fastchat }) => fastchat ?? UNKNOWN },
  { heading: "transformers", cell: ({ transformers }) => transformers ?? UNKNOWN },
  { heading: "context", cell: ({ contextTokens }) => contextTokens.toLocaleString("en-US") },
  { heading: "lmsys/…", cell: nameOf },
];

const LEGEND = [
  "delta: apply it to its base, for example",
  "  vicuna-apply-delta --base llama-7b --delta vicuna-7b-delta-v1.1 --target vicuna-7b",
  "merged: use it as it is; it needs no base.",
  `${UNKNOWN}: no version is known to be named; v0 was made for the transformers of April 2023, before 4.28.0.`,
];

/** The table for a terminal. */
export function formatWeightsTable({ releases }: WeightsDocument): string {
  const rows = [
    COLUMNS.map(({ heading }) => heading),
    ...releases.map((release) => COLUMNS.map(({ cell }) => cell(release))),
  ];
  const widths = COLUMNS.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  return [...lines, "", ...LEGEND].join("\n");
}
