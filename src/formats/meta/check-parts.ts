/** Whether Meta's files are parts of one model, and of the one that params.json speaks of. */
import { basename, dirname, join } from "node:path";
import { ApplyDeltaError, type ErrorCode, type ErrorDetails } from "../../errors.js";
import type { ModelConfig } from "../../llama/documents.js";
import { expectedTensors } from "../../llama/tensor-names.js";
import type { TensorView } from "../../tensor.js";
import { plural } from "../../units.js";
import type { Parts } from "../format.js";
import { FIRST_QUERIES, type MetaTensor, metaTensor, partName, ROTARY_FREQUENCIES } from "./names.js";
import { PARAMS, type Params } from "./params.js";

/** A tensor of the model: what each file has of it, in the files' order. */
export interface SharedTensor extends MetaTensor {
  /** Of the whole tensor. */
  readonly shape: readonly number[];
  readonly shares: readonly [TensorView, ...TensorView[]];
}

const PARTS_HINT =
  "Files of two models or of two downloads are mixed in the folder: keep those of one, and download what is missing.";

/** The error for a file that doesn't belong to the others; `view` is what the file has of a tensor. */
export function partsDiffer(view: TensorView, details: ErrorDetails): ApplyDeltaError {
  const { path } = view.pieces[0].file;
  return new ApplyDeltaError("parts-differ", `${basename(path)} doesn't belong to the files beside it.`, {
    file: path,
    tensor: view.name,
    hint: PARTS_HINT,
    ...details,
  });
}

/** Errors: `parts-differ`, `shard-missing`, `tensor-missing-in-shard`, `unknown-format`, `config-mismatch`. */
export function checkParts(
  parts: Parts,
  params: Params,
): { readonly tensors: readonly SharedTensor[]; readonly config: ModelConfig } {
  const shares = sharesByName(parts);
  checkPartCount(parts, shares, params);
  checkHeads(parts, params);
  const config = configOf(shares, params);
  const shapes = expectedTensors(config) ?? new Map<string, readonly number[]>();
  const tensors = Array.from(shares, ([name, ofParts]) => {
    const tensor = metaTensor(name) as MetaTensor;
    const shape = shapes.get(tensor.name);
    if (shape === undefined)
      throw contradiction(params, ofParts[0], `n_layers ${params.layers}`, `a tensor of the name ${name}`);
    checkShapes(ofParts, shape, tensor, params);
    checkDTypes(ofParts);
    return { ...tensor, shape, shares: ofParts };
  });
  const present = new Set(tensors.map(({ name }) => name));
  const missing = [...shapes.keys()].filter((name) => !present.has(name));
  if (missing[0] !== undefined) {
    const [first] = tensors as [SharedTensor];
    const got = `no tensor for ${missing[0]}`;
    throw contradiction(params, first.shares[0], `n_layers ${params.layers}, with all their tensors`, got);
  }
  return { tensors, config };
}

/** Each file must have a part of each tensor, and none that a LLaMA lacks. */
function sharesByName(parts: Parts): Map<string, SharedTensor["shares"]> {
  const [first, ...others] = parts.map(({ file, tensors }) => {
    return { file, byName: new Map(tensors.map((view) => [view.name, view])) };
  });
  const names = new Set(parts.flatMap(({ tensors }) => tensors.map(({ name }) => name)));
  names.delete(ROTARY_FREQUENCIES);
  const shares = new Map<string, SharedTensor["shares"]>();
  for (const name of names) {
    const shareOf = ({ file, byName }: NonNullable<typeof first>): TensorView => {
      const view = byName.get(name);
      if (view !== undefined) return view;
      throw new ApplyDeltaError("tensor-missing-in-shard", `${basename(file.path)} lacks a tensor.`, {
        file: file.path,
        tensor: name,
        expected: "a part of each tensor in each file",
        got: "none of this one",
        hint: PARTS_HINT,
      });
    };
    const ofParts = [shareOf(first as NonNullable<typeof first>), ...others.map(shareOf)] as const;
    if (metaTensor(name) === null) throw unknownTensor(ofParts[0]);
    shares.set(name, ofParts);
  }
  return shares;
}

function unknownTensor({ name, pieces: [{ file }] }: TensorView): ApplyDeltaError {
  return new ApplyDeltaError("unknown-format", `${basename(file.path)} holds a tensor that no LLaMA has.`, {
    file: file.path,
    tensor: name,
    expected: "the tensors of Meta's LLaMA, Llama 2 or Llama 3",
    hint: "Give Meta's original weights of a LLaMA; other models in its layout aren't read.",
  });
}

/** The rows of q tell how many files share them. */
function checkPartCount(
  parts: Parts,
  shares: ReadonlyMap<string, SharedTensor["shares"]>,
  { width, heads, headRows, path }: Params,
): void {
  const queries = shares.get(FIRST_QUERIES) ?? [];
  const rows = new Set(queries.map(({ shape }) => shape[0] ?? 0));
  const count = (heads * headRows) / ([...rows][0] ?? 0);
  // What differs in this is found with the other shapes.
  if (rows.size !== 1 || queries[0]?.shape[1] !== width || !Number.isInteger(count) || count === parts.length)
    return;
  const folder = dirname(parts[0].file.path);
  const expected = `${plural(count, "file")}, by n_heads in ${path} and the rows of ${FIRST_QUERIES}`;
  const fail = (code: ErrorCode, message: string, at: number, hint: string) =>
    new ApplyDeltaError(code, message, {
      file: join(folder, partName(at)),
      expected,
      got: parts.length,
      hint,
    });
  if (count > parts.length) {
    const message = `${partName(parts.length)} is missing.`;
    throw fail(
      "shard-missing",
      message,
      parts.length,
      "The download did not finish: fetch the missing files.",
    );
  }
  throw fail("parts-differ", `${partName(count)} is one file too many.`, count, PARTS_HINT);
}

function checkHeads(parts: Parts, params: Params): void {
  const { heads, keyValueHeads, headRows } = params;
  for (const { tensors } of parts) {
    const frequencies = tensors.find(({ name }) => name === ROTARY_FREQUENCIES);
    const [length = headRows / 2] = frequencies?.shape ?? [];
    if (length === headRows / 2) continue;
    const expected = `n_heads ${heads}, for heads of ${headRows} rows`;
    const got = `${ROTARY_FREQUENCIES} of ${length}, for heads of ${2 * length} rows`;
    throw contradiction(params, frequencies as TensorView, expected, got);
  }
  if (heads % parts.length !== 0 || keyValueHeads % parts.length !== 0) {
    const expected = `n_heads ${heads} and n_kv_heads ${keyValueHeads} that the files share`;
    throw contradiction(params, undefined, expected, plural(parts.length, "file"));
  }
}

/** What the files say of the model, in the terms of config.json. Errors: `config-mismatch`. */
function configOf(shares: ReadonlyMap<string, SharedTensor["shares"]>, params: Params): ModelConfig {
  const rowsOf = (name: string) => shares.get(name)?.reduce((sum, { shape }) => sum + (shape[0] ?? 0), 0);
  const embedding = shares.get("tok_embeddings.weight");
  const isByColumns = embedding?.[0].shape[1] !== params.width;
  const rows = isByColumns ? embedding?.[0].shape[0] : rowsOf("tok_embeddings.weight");
  if (params.vocabSize !== null && rows !== undefined && params.vocabSize !== rows)
    throw contradiction(params, embedding?.[0], `vocab_size ${params.vocabSize}`, plural(rows, "row"));
  return {
    architectures: ["LlamaForCausalLM"],
    modelType: "llama",
    hiddenSize: params.width,
    intermediateSize: params.intermediateSize ?? rowsOf("layers.0.feed_forward.w1.weight") ?? null,
    layers: params.layers,
    attentionHeads: params.heads,
    keyValueHeads: params.keyValueHeads,
    headDim: params.headRows * params.heads === params.width ? null : params.headRows,
    vocabSize: rows ?? params.vocabSize ?? 0,
    maxPositionEmbeddings: null,
    maxSequenceLength: null,
    rmsNormEps: params.normEps,
    ropeScaling: null,
    ropeTheta: params.ropeTheta,
    tieWordEmbeddings: !shares.has("output.weight"),
    torchDType: null,
    bosTokenId: null,
    eosTokenId: null,
    padTokenId: null,
    nameOrPath: null,
  };
}

/** Each file's share must be as large as the model's shape and the number of files make it. */
function checkShapes(
  shares: SharedTensor["shares"],
  whole: readonly number[],
  { splitBy }: MetaTensor,
  params: Params,
): void {
  const shareOf = (dim: number) => whole.map((extent, at) => (at === dim ? extent / shares.length : extent));
  const right = splitBy === null ? whole : shareOf(splitBy === "rows" ? 0 : 1);
  // Llama 3 shares out its embedding by rows.
  const isEmbedding = shares[0].name === "tok_embeddings.weight";
  const allowed = [right, ...(isEmbedding ? [shareOf(0)] : [])].map((shape) => shape.join(" x "));
  const got = shares.map(({ shape }) => shape.join(" x "));
  const expected = allowed.find((shape) => shape === got[0]) ?? (allowed[0] as string);
  const odd = got.findIndex((shape) => shape !== expected);
  if (odd < 0) return;
  const view = shares[odd] as TensorView;
  if (got.every((shape) => shape === got[0]))
    throw contradiction(
      params,
      view,
      `${expected} in each of ${plural(shares.length, "file")}`,
      got[0] as string,
    );
  throw partsDiffer(view, { expected, got: got[odd] as string });
}

function checkDTypes(shares: SharedTensor["shares"]): void {
  const dtypes = shares.map(({ dtype }) => dtype);
  const odd = oddOneOut(dtypes);
  if (odd === null) return;
  const expected = `${dtypes.find((dtype) => dtype !== dtypes[odd])}, as in the other files`;
  throw partsDiffer(shares[odd] as TensorView, { expected, got: dtypes[odd] as string });
}

function contradiction(
  { path }: Params,
  view: TensorView | undefined,
  expected: string,
  got: string,
): ApplyDeltaError {
  return new ApplyDeltaError("config-mismatch", `${PARAMS} contradicts the weights beside it.`, {
    file: path,
    ...(view === undefined ? {} : { tensor: view.name }),
    expected,
    got: view === undefined ? got : `${got} in ${basename(view.pieces[0].file.path)}`,
    hint: `${PARAMS} and the weights are of two models: download both again from one place.`,
  });
}

/** The index of the first value that differs from what most are; of two values, the second. Null where all are equal. */
export function oddOneOut(values: readonly string[]): number | null {
  const countOf = (value: string) => values.filter((other) => other === value).length;
  const [usual] = [...values].sort((a, b) => countOf(b) - countOf(a));
  const odd = values.findIndex((value) => value !== usual);
  return odd < 0 ? null : odd;
}
