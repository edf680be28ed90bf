/**
 * In: the public names. Out: docs/api.md, one page in Markdown; and whatever has no doc comment.
 * Pure: the same names give the same page.
 */
import type { ApiExport, ApiField } from "./read-api.js";

const HEAD = `<!-- Made by \`npm run docs\` from the doc comments in src; change those. -->

# The library

\`\`\`js
import { applyDelta, isApplyDeltaError } from "vicuna-apply-delta";

try {
  const summary = await applyDelta({
    base: "llama-7b",
    delta: "lmsys/vicuna-7b-delta-v1.1",
    target: "vicuna-7b",
    onProgress: ({ activity, bytesDone, bytesTotal }) => show(activity, bytesDone / bytesTotal),
    signal: AbortSignal.timeout(3_600_000),
  });
  console.log(summary.target, summary.baseCheck?.sentence);
} catch (error) {
  if (!isApplyDeltaError(error)) throw error;
  console.error(error.code, error.format());
}
\`\`\`

It is an ES module for Node.js 20 and newer, with types for TypeScript. What holds for every call:

- It takes one object of options and gives a promise of plain data: what the command prints with \`--json\`. [The schemas](schemas/) are in the package as \`vicuna-apply-delta/schemas/apply.json\` and so on.
- It rejects with an [\`ApplyDeltaError\`](#applydeltaerror). An option that is unknown or makes no sense is one, too (\`bad-usage\`). Anything else that is thrown is a bug of this package, or came out of a callback. Hints speak of the command line's options.
- It leaves the process alone: it prints nothing, listens for no signal, reads and sets no variable of the environment, never exits. When its promise settles, every file, thread, timer and connection of it is closed. Tokens and proxies are therefore given in [\`hub\`](#huboptions); the command line reads them from the environment.
- Calls may run at once. Two that make one folder: one is refused (\`target-exists\`).
- Importing the package loads next to nothing; a call loads what it needs.

[examples/library](../examples/library) holds programs to begin with.
`;

/** In the order of the page; what is in none of them comes last. */
const CHAPTERS: readonly { readonly title: string; readonly names: readonly string[] }[] = [
  {
    title: "Functions",
    names: [
      ...["applyDelta", "planMerge", "makeDelta", "planDelta", "compareModels", "inspectModel"],
      ...["verifyTarget", "uploadModel", "checkUpload", "listReleases"],
    ],
  },
  {
    title: "Options",
    names: [
      ...["ApplyDeltaOptions", "MakeDeltaOptions", "CompareOptions", "InspectOptions", "VerifyOptions"],
      ...["UploadModelOptions", "UploadOptions"],
      ...["MatchRules", "TunedRules", "HubOptions", "ProxySettings", "TransferSettings"],
      ...["KernelChoice", "TargetFormat", "PromptStyle", "SumDType"],
    ],
  },
  {
    title: "Progress, messages and stopping",
    names: ["CallOptions", "Reporter", "ProgressUpdate", "Activity", "FileProgress"],
  },
  {
    title: "Errors",
    names: ["ApplyDeltaError", "isApplyDeltaError", "ErrorDetails", "ErrorCode", "EXIT_OF", "EXIT"],
  },
  {
    title: "Results",
    names: [
      ...["MergeSummary", "MergePlanDocument", "MakeSummary", "DeltaPlanDocument", "Comparison"],
      ...["InspectDocument", "Verification", "UploadSummary", "WeightsDocument", "ErrorDocument"],
    ],
  },
];

/** The page. */
export function renderApi(exports: readonly ApiExport[]): string {
  const byName = new Map(exports.map((each) => [each.name, each]));
  const placed = new Set(CHAPTERS.flatMap(({ names }) => names));
  const rest = exports.map(({ name }) => name).filter((name) => !placed.has(name));
  const chapters = [...CHAPTERS, { title: "What results are made of", names: rest.sort() }];
  const linked = new Set(byName.keys());
  const sections = chapters.map(({ title, names }) =>
    [
      `## ${title}\n`,
      ...names.map((name) => {
        const found = byName.get(name);
        if (found === undefined) throw new Error(`docs/api.md speaks of ${name}, which isn't public`);
        return renderExport(found, linked);
      }),
    ].join("\n"),
  );
  const contents = chapters.map(
    ({ title, names }) => `- **${title}**: ${names.map((name) => link(name)).join(", ")}`,
  );
  return [HEAD, contents.join("\n"), "", sections.join("\n")].join("\n").replace(/\n+$/, "\n");
}

/** Every public name and field without a doc comment: `BaseCheck.verdict`. */
export function undocumented(exports: readonly ApiExport[]): string[] {
  const inFields = (fields: readonly ApiField[], at: string): string[] =>
    fields.flatMap((field) => {
      const name = `${at}.${field.name}`;
      return [...(field.doc === "" ? [name] : []), ...inFields(field.fields, name)];
    });
  return exports.flatMap(({ name, doc, fields }) => [
    ...(doc === "" ? [name] : []),
    ...inFields(fields, name),
  ]);
}

function renderExport({ name, kind, doc, text, fields }: ApiExport, linked: ReadonlySet<string>): string {
  const code =
    kind === "function"
      ? text.replace(/^export (?:async )?/, "")
      : text === ""
        ? ""
        : `type ${name} =${withoutMargin(text)}`;
  const parts = [
    `### ${name}`,
    ...(code === "" ? [] : [`\`\`\`ts\n${code}\n\`\`\``]),
    doc,
    ...(kind === "function" ? [renderSignature(text, linked)] : []),
    ...(fields.length === 0 ? [] : [renderFields(fields, kind, linked)]),
  ];
  return `${parts.filter((part) => part !== "").join("\n\n")}\n`;
}

/** `Takes A; gives B.` */
function renderSignature(text: string, linked: ReadonlySet<string>): string {
  const [, options] = /^export async function \w+\(options: (\w+)\)/.exec(text) ?? [];
  const [, result] = /: Promise<(\w+)>$/.exec(text) ?? [];
  const parts = [
    ...(options !== undefined && linked.has(options) ? [`takes ${link(options)}`] : []),
    ...(result !== undefined && linked.has(result) ? [`gives ${link(result)}`] : []),
  ];
  return parts.length === 0 ? "" : `It ${parts.join(" and ")}.`;
}

/** A union is written over several lines in the source, indented. */
function withoutMargin(text: string): string {
  const lines = text.split("\n");
  return lines.length === 1 ? ` ${text}` : `\n  ${lines.map((line) => line.trim()).join("\n  ")}`;
}

function renderFields(
  fields: readonly ApiField[],
  kind: ApiExport["kind"],
  linked: ReadonlySet<string>,
): string {
  const heading = kind === "constant" ? ["name", "value", "meaning"] : ["field", "type", "meaning"];
  // What must be given comes first.
  const ordered = [false, true].flatMap((isOptional) =>
    fields.filter((field) => field.isOptional === isOptional),
  );
  const rows = flatten(ordered).map(({ name, type, doc, isOptional }) => [
    `\`${name}\`${isOptional ? "?" : ""}`,
    renderType(type, linked),
    cell(doc),
  ]);
  return [heading, heading.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
}

/** Fields of fields without a name, by their paths: `tensors.compared`. */
function flatten(fields: readonly ApiField[], at = ""): ApiField[] {
  return fields.flatMap((field) => {
    const name = `${at}${field.name}`;
    const type = field.fields.length === 0 ? field.type : outline(field.type);
    return [{ ...field, name, type }, ...flatten(field.fields, `${name}.`)];
  });
}

/** An object whose fields have rows of their own. */
function outline(type: string): string {
  const list = /\}\[\]/.test(type) ? "readonly object[]" : "object";
  return /\| null$/.test(type) ? `${list} | null` : list;
}

function renderType(type: string, linked: ReadonlySet<string>): string {
  const names = [...type.matchAll(/\b[A-Z]\w+\b/g)].map(([name]) => name).filter((name) => linked.has(name));
  const links = [...new Set(names)].map((name) => link(name));
  if (linked.has(type)) return link(type);
  return `\`${cell(type)}\`${links.length === 0 ? "" : ` (${links.join(", ")})`}`;
}

function link(name: string): string {
  return `[${name}](#${name.toLowerCase()})`;
}

/** Within a table a line end is a space, and a bar is escaped. */
function cell(text: string): string {
  return text.replace(/\s*\n\s*/g, " ").replaceAll("|", "\\|");
}
