/** Whether a GGUF's keys fit its tensors and each other. That it could be opened says that header and sizes are right. */
import { basename } from "node:path";
import { SPLIT_COUNT_KEY, SPLIT_NUMBER_KEY, SPLIT_TENSORS_KEY } from "../formats/gguf/constants.js";
import type { GgufEntry } from "../formats/gguf/metadata.js";
import type { Checkpoint } from "../formats/open.js";
import { configOfKeys } from "../llama/gguf/config.js";
import { ggufNameOf } from "../llama/gguf/tensor-names.js";
import { EMBEDDING, expectedTensors, LM_HEAD } from "../llama/tensor-names.js";
import { RECORD_KEY, readGgufRecord } from "../target/gguf-record.js";
import { plural } from "../units.js";
import { judgeWeights } from "./check-structure.js";
import type { Check } from "./documents.js";
import { compareByName, failed, judged, ok, shapesOf, skipped } from "./outcome.js";

/** The keys of each of its files. */
export type PartKeys = readonly (readonly GgufEntry[])[];

const findValue = (keys: readonly GgufEntry[] | undefined, name: string) =>
  keys?.find(({ key }) => key === name)?.value;

/** Every file of a model that is split has to say which of how many it is. */
export function checkParts(target: Checkpoint, parts: PartKeys): Check {
  const { files, tensors } = target;
  const wanted = [parts.length, tensors.length];
  const faults = parts.flatMap((keys, i) => {
    const names = [SPLIT_NUMBER_KEY, SPLIT_COUNT_KEY, SPLIT_TENSORS_KEY];
    const numbers = names.map((name) => findValue(keys, name));
    if (parts.length === 1 || numbers.join() === [i, ...wanted].join()) return [];
    return [`${basename(files[i]?.path ?? "")} isn't part ${i + 1} of ${parts.length} by its keys`];
  });
  return judgeWeights(target, faults);
}

/** Names and shapes of the tensors, by what the keys say of the model. */
export function checkKeys({ tensors }: Checkpoint, [keys = []]: PartKeys): Check {
  const hasHead = tensors.some(({ name }) => name === ggufNameOf(LM_HEAD));
  const config = configOfKeys(keys, hasHead);
  const expected = expectedTensors(config);
  const architecture = config.modelType ?? "no architecture named";
  if (expected === null) return ok("config", `${architecture}; names and shapes are not checked for it`);
  const got = shapesOf(tensors.map(({ name, shape }) => [name, shape]));
  const wanted = shapesOf([...expected].map(([name, shape]) => [ggufNameOf(name) ?? name, shape]));
  const faults = compareByName(got, wanted, "not", "isn't one of its tensors");
  const detail = `${architecture}: ${plural(wanted.size, "tensor")} of the shapes its keys say`;
  return judged("config", faults, detail);
}

const ID_KEYS = ["bos", "eos", "unknown", "padding"].map((role) => `tokenizer.ggml.${role}_token_id`);

/** A token for each row of the embedding, and what belongs to it. */
export function checkTokens({ tensors }: Checkpoint, [keys = []]: PartKeys): Check {
  const lengthOf = (name: string) => {
    const value = findValue(keys, `tokenizer.ggml.${name}`);
    return Array.isArray(value) ? value.length : null;
  };
  const tokens = lengthOf("tokens");
  if (tokens === null) return skipped("tokenizer", "there are no tokens in it");
  const rows = tensors.find(({ name }) => name === ggufNameOf(EMBEDDING))?.shape[0] ?? null;
  const lists = ["scores", "token_type"].flatMap((name) => {
    const length = lengthOf(name);
    return length === null || length === tokens ? [] : [`${tokens} tokens have ${length} ${name}`];
  });
  const ids = ID_KEYS.flatMap((name) => {
    const id = findValue(keys, name);
    return id === undefined || Number(id) < tokens ? [] : [`${name} is ${id}, of ${tokens} tokens`];
  });
  const ofRows = rows === null || rows === tokens ? [] : [`${tokens} tokens for ${plural(rows, "row")}`];
  const faults = [...ofRows, ...lists, ...ids];
  return judged("tokenizer", faults, `${plural(tokens, "token")} for ${plural(rows ?? tokens, "row")}`);
}

/** Keys that a program reads to run the model; the others only name it. */
const DECIDES =
  /^(?:llama\.|tokenizer\.|general\.(?:architecture|type|file_type|quantization_version|size_label|sampling\.))/;

/** The record, and where base and delta are known every key that decides something. Errors: `record-malformed`. */
export function checkGgufRecord(
  path: string,
  [keys = []]: PartKeys,
  wanted: readonly GgufEntry[] | null,
): Check {
  const record = readGgufRecord(keys, path);
  const decisive = (entries: readonly GgufEntry[]) =>
    new Map(
      entries
        .filter(({ key }) => DECIDES.test(key))
        .map(({ key, ...value }) => [
          key,
          JSON.stringify(value, (_, item) => (typeof item === "bigint" ? `${item}` : item)),
        ]),
    );
  const [got, expected] = [decisive(keys), decisive(wanted ?? [])];
  const names = new Set([...got.keys(), ...expected.keys()]);
  const others = [...names].filter((name) => got.get(name) !== expected.get(name));
  const faults = others.map((name) => `${name} isn't what base and delta give`);
  if (wanted !== null && faults.length > 0) return failed("record", faults);
  const seen = wanted === null ? "" : `; ${plural(got.size, "key")} of the model as base and delta give them`;
  if (record !== null) return ok("record", `it says what it was made from${seen}`);
  const missing = `there is no ${RECORD_KEY}: the target isn't this tool's`;
  return wanted === null ? skipped("record", missing) : ok("record", `${missing}${seen}`);
}
