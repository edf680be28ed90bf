/** params.json, which lies beside Meta's files and says what their shapes alone don't: heads, for example. */
import { dirname, join } from "node:path";
import * as z from "zod";
import { ApplyDeltaError } from "../../errors.js";
import { JsonDraft } from "../../files/json-draft.js";
import { sourceExists } from "../../files/local-file.js";
import { readAssetText } from "../../files/small-file.js";

export const PARAMS = "params.json";

const extent = z.int().positive();

/** The newer ones have all of it under `model`. */
const insideModel = (value: unknown) =>
  typeof value === "object" && value !== null && "model" in value ? value.model : value;

const paramsSchema = z.preprocess(
  insideModel,
  z.looseObject({
    dim: extent,
    n_layers: extent,
    n_heads: extent,
    n_kv_heads: extent.nullish(),
    head_dim: extent.nullish(),
    /** Of the feed-forward network; Mistral's say it, Meta's say how to compute it. */
    hidden_dim: extent.nullish(),
    multiple_of: extent.nullish(),
    ffn_dim_multiplier: z.number().positive().nullish(),
    norm_eps: z.number().positive(),
    rope_theta: z.number().positive().nullish(),
    /** -1: as many as the embedding has rows. */
    vocab_size: z.int().nullish(),
  }),
);

export interface Params {
  /** The file. */
  readonly path: string;
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  /** Rows of q that make a head. */
  readonly headRows: number;
  /** Null where it isn't said. */
  readonly intermediateSize: number | null;
  readonly normEps: number;
  readonly ropeTheta: number | null;
  /** Null where it isn't said. */
  readonly vocabSize: number | null;
}

/** Errors: `source-not-found`, `source-unreadable`, `bad-json`, `lfs-pointer`, `config-mismatch`. */
export function readParams(folder: string): Params {
  const path = join(folder, PARAMS);
  if (!sourceExists(path)) throw noParams(path);
  const raw = new JsonDraft(readAssetText(path), paramsSchema).value;
  const headRows = raw.head_dim ?? raw.dim / raw.n_heads;
  const keyValueHeads = raw.n_kv_heads ?? raw.n_heads;
  const contradict = (expected: string, got: string) =>
    new ApplyDeltaError("config-mismatch", `${PARAMS} contradicts itself.`, {
      file: path,
      expected,
      got,
      hint: `Download ${PARAMS} again from where the weights came from.`,
    });
  if (!Number.isInteger(headRows) || headRows % 2 !== 0)
    throw contradict(
      "dim that is an even number for each of n_heads",
      `dim ${raw.dim}, n_heads ${raw.n_heads}`,
    );
  if (raw.n_heads % keyValueHeads !== 0)
    throw contradict(
      "n_kv_heads that divides n_heads",
      `n_kv_heads ${keyValueHeads}, n_heads ${raw.n_heads}`,
    );
  return {
    path,
    width: raw.dim,
    layers: raw.n_layers,
    heads: raw.n_heads,
    keyValueHeads,
    headRows,
    intermediateSize: raw.hidden_dim ?? intermediateSizeOf(raw.dim, raw.multiple_of, raw.ffn_dim_multiplier),
    normEps: raw.norm_eps,
    ropeTheta: raw.rope_theta ?? null,
    vocabSize: raw.vocab_size === undefined || (raw.vocab_size ?? -1) < 0 ? null : (raw.vocab_size ?? null),
  };
}

/** As Meta's model.py computes it (`FeedForward`): two thirds of 4·dim, times the multiplier, rounded up. */
function intermediateSizeOf(
  dim: number,
  multipleOf?: number | null,
  multiplier?: number | null,
): number | null {
  if (multipleOf == null) return null;
  const size = Math.trunc((multiplier ?? 1) * Math.trunc((8 * dim) / 3));
  return multipleOf * Math.ceil(size / multipleOf);
}

function noParams(path: string): ApplyDeltaError {
  return new ApplyDeltaError("source-not-found", `${PARAMS} is missing beside Meta's weights.`, {
    file: path,
    expected: "dim, n_heads and the like, which the weights alone don't say",
    hint: `Copy ${PARAMS} from the same download to ${dirname(path)}.`,
  });
}
