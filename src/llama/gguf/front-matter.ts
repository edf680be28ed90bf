/**
 * The front matter of a model card: what its YAML says of licence, base and data. Read are scalars and lists of
 * scalars, which is all that is looked for; what has another form counts as absent.
 */

export type FrontMatter = ReadonlyMap<string, string | readonly string[]>;

export function readFrontMatter(card: string): FrontMatter {
  const [first, ...lines] = card.split(/\r?\n/);
  const end = lines.indexOf("---");
  const fields = new Map<string, string | string[]>();
  if (first !== "---" || end < 0) return fields;
  let list: string[] = [];
  // Without `s` a line that holds U+2028 would be looked at once for each space before it.
  for (const line of lines.slice(0, end)) {
    const [, item] = /^\s*- +(.*)$/s.exec(line) ?? [];
    const [, key, value = ""] = /^([\w-]+):(?:\s+(.*))?$/s.exec(line) ?? [];
    const scalar = readScalar(item ?? value);
    if (item !== undefined && scalar !== null) list.push(scalar);
    if (key === undefined) continue;
    list = [];
    const flow = /^\[(.*)\]\s*$/s.exec(value)?.[1];
    if (flow !== undefined)
      fields.set(
        key,
        flow.split(",").flatMap((text) => readScalar(text) ?? []),
      );
    else if (value === "") fields.set(key, list);
    else if (scalar !== null) fields.set(key, scalar);
  }
  return fields;
}

/** Null for what stands for nothing, and for what is more than a scalar. */
function readScalar(text: string): string | null {
  const plain = text.trim();
  const quoted = /^(["'])([^"'\\]*)\1$/.exec(plain)?.[2];
  if (quoted !== undefined) return quoted;
  const value = plain.replace(/(?:^|\s)#.*$/s, "");
  return value === "" || value === "null" || value === "~" || /^["'[\]{}&*!|>%@`]|: /.test(value)
    ? null
    : value;
}
