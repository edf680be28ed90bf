/**
 * The YAML that a workflow needs, and no more: mappings, lists of mappings, plain scalars, `|` blocks, comments of a
 * line. Anything else is an error, so that what a test reads is what GitHub reads.
 */

export type Yaml = string | readonly Yaml[] | { readonly [key: string]: Yaml };

export function parsePlainYaml(text: string): Yaml {
  const lines = text.split("\n").filter((line, i, all) => !isComment(line, i, all));
  const reader = { lines, at: 0 };
  const value = parseBlock(reader, 0);
  skipEmpty(reader);
  if (reader.at < lines.length) throw new Error(`not read: ${lines[reader.at]}`);
  return value;
}

interface Reader {
  readonly lines: readonly string[];
  at: number;
}

/** Not within a block: there, `#` is text. */
function isComment(line: string, at: number, all: readonly string[]): boolean {
  if (!/^\s*#/.test(line)) return false;
  const depth = indentOf(line);
  const opener = all.slice(0, at).findLast((before) => before.trim() !== "" && indentOf(before) < depth);
  return opener === undefined || !opener.endsWith(": |");
}

const indentOf = (line: string) => line.length - line.trimStart().length;

function skipEmpty(reader: Reader): void {
  while (reader.lines[reader.at]?.trim() === "") reader.at++;
}

function parseBlock(reader: Reader, indent: number): Yaml {
  skipEmpty(reader);
  return reader.lines[reader.at]?.startsWith("- ", indent)
    ? parseList(reader, indent)
    : parseMapping(reader, indent);
}

function parseList(reader: Reader, indent: number): Yaml[] {
  const items: Yaml[] = [];
  for (;;) {
    skipEmpty(reader);
    const line = reader.lines[reader.at];
    if (line === undefined || indentOf(line) < indent || !line.startsWith("- ", indent)) return items;
    // The item's mapping begins behind the dash.
    const rest = {
      lines: reader.lines.with(reader.at, `${" ".repeat(indent + 2)}${line.slice(indent + 2)}`),
      at: reader.at,
    };
    items.push(parseMapping(rest, indent + 2));
    reader.at = rest.at;
  }
}

function parseMapping(reader: Reader, indent: number): Yaml {
  const entries: [string, Yaml][] = [];
  for (;;) {
    skipEmpty(reader);
    const line = reader.lines[reader.at];
    if (line === undefined || indentOf(line) < indent) return Object.fromEntries(entries);
    const match = /^( *)([\w-]+):(?: (.*))?$/.exec(line);
    if (match?.[1]?.length !== indent) throw new Error(`not understood: ${line}`);
    const [, , key = "", value] = match;
    reader.at++;
    entries.push([key, parseValue(reader, indent, value)]);
  }
}

function parseValue(reader: Reader, indent: number, value: string | undefined): Yaml {
  if (value === "|") return parseText(reader, indent);
  if (value !== undefined) return plainScalar(value);
  skipEmpty(reader);
  const depth = indentOf(reader.lines[reader.at] ?? "");
  return depth > indent ? parseBlock(reader, depth) : "";
}

function parseText(reader: Reader, indent: number): string {
  const start = reader.at;
  const depth = indentOf(reader.lines[start] ?? "");
  if (depth <= indent) throw new Error("an empty block");
  while ((reader.lines[reader.at]?.trim() ?? "-") === "" || indentOf(reader.lines[reader.at] ?? "") >= depth)
    reader.at++;
  const lines = reader.lines.slice(start, reader.at).map((line) => line.slice(depth));
  return `${lines.join("\n").trimEnd()}\n`;
}

function plainScalar(value: string): string {
  // Quotes, flow collections, anchors, tags, aliases and comments behind a value.
  if (/^["'[\]{}&*!|>%@`]/.test(value) || / #|: /.test(value))
    throw new Error(`not a plain scalar: ${value}`);
  return value;
}
