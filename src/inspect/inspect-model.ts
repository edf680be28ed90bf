/** Inspecting, step by step: resolve, open, recognise, count; with a base, measure the change in a sample of the weights. */
import { basename, resolve } from "node:path";
import type { LayerChange } from "../base-check/documents.js";
import { changeSample } from "../base-check/layer-change.js";
import { sampleModels } from "../base-check/sample-models.js";
import { ApplyDeltaError } from "../errors.js";
import { readGgufKeys } from "../formats/gguf/keys.js";
import { type Checkpoint, configOf } from "../formats/open.js";
import { formatTitle } from "../formats/table.js";
import { type Model, readRequest, withModels } from "../hub/models.js";
import { describeInterruption, pauseFor } from "../interrupt.js";
import { compileKernel } from "../kernel/select.js";
import { tokenizerStateOfKeys } from "../llama/gguf/config.js";
import { plainTensors } from "../llama/gguf/tensor-names.js";
import { contextTokensOf } from "../llama/model-config.js";
import { recognizeRelease } from "../llama/recognize.js";
import { embeddingOf, isRotaryBuffer } from "../llama/tensor-names.js";
import { readTokenizerState } from "../llama/tokenizer-state.js";
import { isPlaceholder, openSide, renamed } from "../merge/open-side.js";
import { byteLengthOf, elementCount, filesOf, type OpenFile, type TensorView } from "../tensor.js";
import { plural } from "../units.js";
import type { InspectDocument } from "./documents.js";
import type { InspectOptions } from "./options.js";

export { type InspectOptions, inspectOptions } from "./options.js";

/** Errors: those of finding and opening a checkpoint; `bad-json`; `names-differ` where base and model have nothing in common; `interrupted`. */
export async function inspectModel(options: InspectOptions): Promise<InspectDocument> {
  const { hub, reporter, signal } = options;
  const requests = [readRequest({ role: "model", reference: options.model, revision: options.revision })];
  if (options.base !== undefined) {
    requests.push(readRequest({ role: "base", reference: options.base, revision: options.baseRevision }));
  }
  return describeInterruption("the model was not inspected", () =>
    withModels(requests, { hub, reporter, signal, weights: "headers" }, async (model, base) => {
      const opened = await (model as Model).open();
      return describeModel(opened, base === undefined ? null : await openSide(base, model), options);
    }),
  );
}

async function describeModel(
  model: Checkpoint,
  base: Checkpoint | null,
  options: InspectOptions,
): Promise<InspectDocument> {
  const wanted = globToRegExp(options.filter ?? "*");
  const config = configOf(model);
  const keys = model.formats.includes("gguf") ? ((await readGgufKeys(model.files))[0] ?? []) : null;
  const plain =
    keys === null || config === null
      ? renamed(model)
      : { ...model, tensors: plainTensors(model.tensors, config) };
  const embedShape = embeddingOf(plain.tensors)?.shape ?? null;
  const change = base === null ? null : await changeOf(base, plain, options);
  const release = recognizeRelease({
    reference: options.model,
    folder: resolve(model.folder),
    config,
    embedShape,
    shards: model.files.map(({ path, byteLength }) => ({ file: basename(path), byteLength })),
    // Known only by comparing with its base.
    isDelta: change?.comparedAs === "delta",
  });
  const weights = model.tensors.filter(({ name }) => !isRotaryBuffer(name));
  const tensorsIn = new Map<OpenFile, number>();
  for (const file of model.tensors.flatMap((tensor) => filesOf(tensor)))
    tensorsIn.set(file, (tensorsIn.get(file) ?? 0) + 1);
  return {
    model: model.path,
    formats: model.formats.map(formatTitle),
    parameters: weights.reduce((sum, { shape }) => sum + elementCount(shape), 0),
    bytes: model.files.reduce((sum, { byteLength }) => sum + byteLength, 0),
    dtypes: dtypesOf(model.tensors),
    shards: model.files.map((file) => ({
      file: basename(file.path),
      bytes: file.byteLength,
      tensors: tensorsIn.get(file) ?? 0,
    })),
    filter: options.filter ?? null,
    tensorCount: model.tensors.length,
    tensors: model.tensors
      .filter(({ name }) => wanted.test(name))
      .map((tensor) => {
        const { name, dtype, shape, pieces } = tensor;
        const file = basename(pieces[0].file.path);
        return { name, dtype, shape, bytes: byteLengthOf(tensor), file };
      }),
    config: config === null ? null : { ...config, contextTokens: contextTokensOf(config) },
    tokenizer:
      keys === null
        ? await readTokenizerState(model.folder, embedShape?.[0] ?? null, pauseFor(options.signal))
        : tokenizerStateOfKeys(keys, embedShape?.[0] ?? null),
    release,
    change: base === null || change === null ? null : { base: base.path, ...change },
    notes: [...plain.notes, ...placeholdersIn(model), ...(base?.notes ?? [])],
  };
}

function placeholdersIn({ tensors }: Checkpoint): string[] {
  const { length } = tensors.filter(isPlaceholder);
  if (length === 0) return [];
  return [
    `${length} of ${plural(tensors.length, "tensor")} are placeholders of DeepSpeed ZeRO-3 without elements: zero_to_fp32.py writes the weights`,
  ];
}

async function changeOf(base: Checkpoint, model: Checkpoint, options: InspectOptions): Promise<LayerChange> {
  const kernel = await compileKernel("auto", options.reporter);
  const change = await sampleModels(changeSample, base, model, { ...options, kernel });
  if (change !== null) return change;
  throw new ApplyDeltaError("names-differ", "Base and model have no tensor in common.", {
    file: base.path,
    expected: model.tensors[0]?.name ?? "tensors",
    got: base.tensors[0]?.name ?? "none",
    hint: "Give the base the model was made from: the same kind of model, of the same size.",
  });
}

function dtypesOf(tensors: readonly TensorView[]): InspectDocument["dtypes"] {
  return [...new Set(tensors.map(({ dtype }) => dtype))].map((dtype) => {
    const ofDType = tensors.filter((tensor) => tensor.dtype === dtype);
    return {
      dtype,
      tensors: ofDType.length,
      elements: ofDType.reduce((sum, { shape }) => sum + elementCount(shape), 0),
      bytes: ofDType.reduce((sum, tensor) => sum + byteLengthOf(tensor), 0),
    };
  });
}

/** A glob over whole names: `*` is any characters, dots too, `?` is one; everything else is itself. */
export function globToRegExp(glob: string): RegExp {
  const source = glob.replace(/[\\^$.*+?()[\]{}|]/g, (character) =>
    character === "*" ? "[^]*" : character === "?" ? "[^]" : `\\${character}`,
  );
  return new RegExp(`^${source}$`, "u");
}
