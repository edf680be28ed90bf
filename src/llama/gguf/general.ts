/** `general.*`: a model's name, size and origin, which programs show, and how to sample from it. */
import * as z from "zod";
import { JsonDraft, type JsonFile } from "../../files/json-draft.js";
import { type FrontMatter, readFrontMatter } from "./front-matter.js";
import { f32, i32, ifSet, type KeyValue, string, strings, u32 } from "./key-values.js";
import { type ModelName, readModelName, sizeLabelOf } from "./model-name.js";

export interface Origin {
  /** The target's name: `vicuna-7b-v1.1`. */
  readonly name: string;
  /** Elements of all tensors. */
  readonly parameters: number;
  /** `_name_or_path` of config.json. */
  readonly nameOrPath: string | null;
  /** The model card; null if there is none. */
  readonly card: string | null;
  readonly generationConfig: JsonFile | null;
}

/** What the card may say itself (`model_name` or `name`), and what a name says of it otherwise. */
const NAMED: readonly (readonly [key: string, inName: keyof ModelName | null, alias?: string])[] = [
  ["name", "title"],
  ["author", null, "model_creator"],
  ["version", "version"],
  ["organization", "organization"],
  ["finetune", "finetune"],
  ["basename", "basename", "model_type"],
  ["description", null],
  ["size_label", "sizeLabel"],
];

/** Errors: `bad-json`. */
export function generalValues({ name, parameters, nameOrPath, card, generationConfig }: Origin): KeyValue[] {
  const fields = readFrontMatter(card ?? "");
  // A path on the machine that saved the model isn't a name.
  const isName = nameOrPath !== null && nameOrPath.split("/").length <= 2;
  const names = [...(isName ? [nameOrPath] : []), name].map((id) => readModelName(id, parameters));
  const unnamed: Partial<Record<string, string>> = { name, size_label: sizeLabelOf(parameters) };
  const named = NAMED.flatMap(([key, inName, alias = key]) => {
    const ofCard = [key, `model_${key}`, alias].map((field) => textOf(fields, field));
    const ofNames = names.map((each) => inName && each[inName]);
    const value = [...ofCard, ...ofNames, unnamed[key]].find((candidate) => candidate != null);
    return ifSet(string, `general.${key}`, value ?? null);
  });
  return [
    ...samplingValues(generationConfig),
    ...named,
    ...ifSet(string, "general.license", itemsOf(fields, "license")?.join(",") ?? null),
    ...ifSet(string, "general.license.name", textOf(fields, "license_name")),
    ...ifSet(string, "general.license.link", textOf(fields, "license_link")),
    ...sourceValues("base_model", itemsOf(fields, "base_model", "base_models"), parameters),
    ...sourceValues("dataset", itemsOf(fields, "datasets", "dataset"), parameters),
    ...ifSet(strings, "general.tags", joined(itemsOf(fields, "tags"), itemsOf(fields, "pipeline_tag"))),
    ...ifSet(strings, "general.languages", joined(itemsOf(fields, "languages"), itemsOf(fields, "language"))),
  ];
}

function textOf(fields: FrontMatter, key: string): string | null {
  const value = fields.get(key);
  return typeof value === "string" ? value : null;
}

/** The first of the fields that is there, as a list. */
function itemsOf(fields: FrontMatter, ...keys: readonly string[]): readonly string[] | null {
  const value = keys.map((key) => fields.get(key)).find((field) => field !== undefined);
  return value === undefined ? null : [value].flat();
}

function joined(...lists: readonly (readonly string[] | null)[]): string[] | null {
  return lists.every((list) => list === null) ? null : lists.flatMap((list) => list ?? []);
}

/** The models or data that a model was made of, each by its name on the Hub or its address. */
function sourceValues(
  kind: "base_model" | "dataset",
  ids: readonly string[] | null,
  parameters: number,
): KeyValue[] {
  if (ids === null) return [];
  const described = ids.flatMap((id, i) => {
    const isAddress = /^(?:https?|ssh):\/\//.test(id);
    const onHub = isAddress ? /^https?:\/\/huggingface\.co\/([^/]+\/[^/]+)$/.exec(id)?.[1] : id;
    const { title, version, organization } = readModelName(onHub ?? "", parameters);
    const address = isAddress ? id : organization && `https://huggingface.co/${onHub}`;
    return [
      ...ifSet(string, `general.${kind}.${i}.name`, title),
      ...ifSet(string, `general.${kind}.${i}.version`, version),
      ...ifSet(string, `general.${kind}.${i}.organization`, organization),
      ...ifSet(string, `general.${kind}.${i}.repo_url`, address),
    ];
  });
  return [u32(`general.${kind}.count`, ids.length), ...described];
}

const SAMPLING = {
  sequence: string,
  top_k: i32,
  top_p: f32,
  min_p: f32,
  xtc_probability: f32,
  xtc_threshold: f32,
  temp: f32,
  penalty_last_n: i32,
  penalty_repeat: f32,
  mirostat: i32,
  mirostat_tau: f32,
  mirostat_eta: f32,
} as const;

/** The names of transformers, where they differ. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  temp: "temperature",
  penalty_repeat: "repetition_penalty",
};

/** How the model's makers sample from it, as far as generation_config.json says. */
function samplingValues(file: JsonFile | null): KeyValue[] {
  const config = file === null ? {} : new JsonDraft(file, z.looseObject({})).value;
  return Object.entries(SAMPLING).flatMap(([key, make]) => {
    const value = config[key] ?? config[OTHER_NAMES[key] ?? ""];
    const isOfType = typeof value === (make === string ? "string" : "number");
    return isOfType ? [make(`general.sampling.${key}`, value as never)] : [];
  });
}
