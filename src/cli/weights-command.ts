/** `vicuna-apply-delta weights`: the releases of Vicuna as a table of at most 100 columns. */
import type { Command } from "commander";
import { listReleases, type Release, type WeightsDocument } from "../index.js";
import { formatExact } from "../units.js";
import { addFlag, setAction } from "./library-options.js";
import { table } from "./terminal.js";

export function defineCommand(command: Command): void {
  addFlag(command, "Messages", "--json", "print one JSON document on stdout");
  setAction(command, [], async () => {
    const document = await listReleases();
    return { document, format: () => formatWeightsTable(document) };
  });
}

const UNKNOWN = "-";

const COLUMNS: Readonly<Record<string, (release: Release) => string>> = {
  version: ({ version }) => version,
  kind: ({ kind }) => kind,
  base: ({ base }) => base,
  date: ({ date }) => date ?? UNKNOWN,
  fschat: ({ fastchat }) => fastchat ?? UNKNOWN,
  transformers: ({ transformers }) => transformers ?? UNKNOWN,
  context: ({ contextTokens }) => formatExact(contextTokens),
  "lmsys/…": ({ repository }) => repository.replace("lmsys/", ""),
};

const LEGEND = [
  "delta: apply it to its base, for example",
  "  vicuna-apply-delta --base llama-7b --delta vicuna-7b-delta-v1.1 --target vicuna-7b",
  "merged: use it as it is; it needs no base.",
  `${UNKNOWN}: no known version; v0 was made for the transformers of April 2023, before 4.28.0.`,
];

export function formatWeightsTable({ releases }: WeightsDocument): string {
  const rows = releases.map((release) => Object.values(COLUMNS).map((cell) => cell(release)));
  return [...table([Object.keys(COLUMNS), ...rows], ""), "", ...LEGEND].join("\n");
}
