import * as z from "zod";
import { JsonDraft, type JsonFile } from "../../files/json-draft.js";
import { type KeyValue, string, strings } from "./key-values.js";

const templateFileSchema = z.looseObject({ chat_template: z.unknown() });

/** A tokenizer may have several, one of them named `default`. */
const namedSchema = z.array(z.looseObject({ name: z.string(), template: z.string() }));

/**
 * The prompt templates of a tokenizer. `config`: what tokenizer_config.json holds, whose own template is preferred, as
 * llama.cpp's converter does; null if there is no such file, and then there is no template. `file`:
 * chat_template.jinja or chat_template.json. Errors: `bad-json`.
 */
export function chatTemplateValues(
  config: Readonly<Record<string, unknown>> | null,
  file: JsonFile | null,
): KeyValue[] {
  if (config === null) return [];
  const template = "chat_template" in config ? config.chat_template : readTemplateFile(file);
  if (typeof template === "string") return [string("tokenizer.chat_template", template)];
  const named = namedSchema.safeParse(template).data ?? [];
  const others = named.filter(({ name }) => name !== "default" && name !== "");
  const keys = others.map(({ name }) => name.replace(/[^A-Za-z0-9]/g, "_"));
  const main = named.find(({ name }) => name === "default");
  return [
    ...others.map(({ template }, i) => string(`tokenizer.chat_template.${keys[i]}`, template)),
    ...(keys.length === 0 ? [] : [strings("tokenizer.chat_templates", keys)]),
    ...(main === undefined ? [] : [string("tokenizer.chat_template", main.template)]),
  ];
}

function readTemplateFile(file: JsonFile | null): unknown {
  if (file === null) return null;
  return file.path.endsWith(".jinja")
    ? file.text
    : new JsonDraft(file, templateFileSchema).value.chat_template;
}
