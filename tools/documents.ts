/**
 * The documents that `--json` prints, as zod types: what docs/schemas is made of and what the tests hold the real
 * output against. Not part of the package, so that no run loads it.
 * Guards: each is proven to be the library's own type, field for field: where one has a field that the other hasn't,
 * this file doesn't compile. What a field means is said where the type is.
 */
import { z } from "zod";
import { type ErrorCode, EXIT_OF } from "../src/errors.js";
import type {
  ActionCounts,
  ApplyDocument,
  BaseCheck,
  BaseStatistics,
  ChangeSize,
  Check,
  Comparison,
  DeltaPlanDocument,
  DifferingTensor,
  DType,
  ErrorDocument,
  FileComparison,
  FileKey,
  InspectDocument,
  InspectedTensor,
  KindChange,
  Largest,
  LayerChange,
  LayoutDocument,
  ListedRelease,
  LostElements,
  MakeDocument,
  MakeSummary,
  MergePlanDocument,
  MergeSummary,
  ModelConfig,
  NotAdded,
  OutputSummary,
  PartChange,
  PublishedShard,
  Recognition,
  Release,
  ReportedError,
  Restoration,
  SumDType,
  TokenizerState,
  Tolerance,
  UploadSummary,
  Verification,
  WeightsDocument,
} from "../src/index.js";
import { DTYPES } from "../src/tensor.js";

/** The same type without `readonly`, interfaces and intersections as plain objects. */
type Plain<T> = T extends readonly (infer Item)[]
  ? Plain<Item>[]
  : T extends object
    ? { -readonly [Key in keyof T]: Plain<Exclude<T[Key], undefined>> }
    : T;

type IsSame<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Takes a schema of exactly this type. */
function schemaOf<Type>() {
  return <Schema extends z.ZodType>(
    schema: IsSame<Plain<z.infer<Schema>>, Plain<Type>> extends true
      ? Schema
      : { readonly "isn't the type": Plain<Type> },
  ): Schema => schema as Schema;
}

const text = z.string();
const texts = z.array(z.string());
const count = z.int().nonnegative();
const bytes = count;
/** Lengths of a shape's dimensions, or a place in it. */
const extents = z.array(count);
const dtype = schemaOf<DType>()(z.enum(DTYPES as [DType, ...DType[]]));
const sumDType = schemaOf<SumDType>()(z.enum(["F16", "BF16", "F32"]));

const changeSize = schemaOf<ChangeSize>()(
  z.strictObject({ baseRms: z.number(), changeRms: z.number(), ratio: z.number().nullable() }),
);

const baseStatistics = schemaOf<BaseStatistics>()(
  z.strictObject({
    tensors: count,
    sampled: count,
    comparable: count,
    formats: z.array(z.strictObject({ dtype: sumDType, inexact: count })),
    baseRms: z.number(),
    deltaRms: z.number(),
    correlation: z.number(),
    baseIsBFloat16: z.boolean(),
  }),
);

const baseCheck = schemaOf<BaseCheck>()(
  z.strictObject({
    verdict: z.enum([
      ...(["exact", "near", "other", "wider-delta", "too-few"] as const),
      ...(["zero-delta", "not-a-delta", "swapped"] as const),
    ]),
    sentence: text,
    isWarning: z.boolean(),
    checkedIn: sumDType.nullable(),
    inexact: count,
    statistics: baseStatistics,
  }),
);

const actionCounts = schemaOf<ActionCounts>()(
  z.strictObject({
    added: count.optional(),
    subtracted: count.optional(),
    copied: count.optional(),
    grown: count.optional(),
    dropped: count.optional(),
  }),
);

const notAdded = schemaOf<NotAdded>()(
  z.strictObject({
    name: text,
    action: z.enum(["added", "subtracted", "copied", "grown", "dropped"]),
    reason: text,
  }),
);

const outputFields = {
  tensors: actionCounts,
  shards: z.array(z.strictObject({ file: text, bytes })),
  keptShards: texts,
  bytesRead: bytes,
  bytesStreamed: bytes,
  bytesWritten: bytes,
  seconds: z.number(),
  peakMemoryBytes: bytes,
  kernel: z.enum(["simd", "reference"]),
  threads: count,
  warnings: texts,
};
schemaOf<OutputSummary>()(z.strictObject(outputFields));

const layoutFields = {
  tensors: actionCounts,
  shards: z.array(z.strictObject({ file: text, bytes, tensors: count })),
  files: texts,
  parameters: count,
  bytesToRead: bytes,
  bytesToWrite: bytes,
  freeBytes: bytes,
};
schemaOf<LayoutDocument>()(z.strictObject(layoutFields));

const uploadSummary = schemaOf<UploadSummary>()(
  z.strictObject({
    repository: text,
    url: text,
    private: z.boolean().nullable(),
    commit: text,
    commitUrl: text,
    sent: texts,
    skipped: texts,
    removed: texts,
    bytesSent: bytes,
    bytesSkipped: bytes,
    seconds: z.number(),
  }),
);

const mergeSummary = schemaOf<MergeSummary>()(
  z.strictObject({
    ...outputFields,
    target: text,
    release: text.nullable(),
    scale: z.number(),
    baseCheck: baseCheck.nullable(),
    verified: z.boolean(),
  }),
);

const applied = schemaOf<ApplyDocument>()(
  z.strictObject({ ...mergeSummary.shape, upload: uploadSummary.optional() }),
);

const mergePlan = schemaOf<MergePlanDocument>()(
  z.strictObject({
    ...layoutFields,
    target: text,
    dryRun: z.literal(true),
    release: text.nullable(),
    scale: z.number(),
    notAdded: z.array(notAdded),
    baseCheck: baseCheck.nullable(),
    warnings: texts,
  }),
);

const lostElements = schemaOf<LostElements>()(
  z.strictObject({ tensor: text, elements: count, zeroSigns: count, first: count }),
);

const restoration = schemaOf<Restoration>()(
  z.strictObject({
    isExact: z.boolean(),
    elements: count,
    lost: count,
    zeroSigns: count,
    tensors: count,
    listed: z.array(lostElements),
  }),
);

const makeSummary = schemaOf<MakeSummary>()(
  z.strictObject({
    ...outputFields,
    delta: text,
    change: changeSize.nullable(),
    restores: restoration,
    applyWith: texts,
  }),
);

const madeDelta = schemaOf<MakeDocument>()(
  z.strictObject({ ...makeSummary.shape, upload: uploadSummary.optional() }),
);

const deltaPlan = schemaOf<DeltaPlanDocument>()(
  z.strictObject({
    ...layoutFields,
    delta: text,
    dryRun: z.literal(true),
    notSubtracted: z.array(notAdded),
    change: changeSize.nullable(),
    applyWith: texts,
    warnings: texts,
  }),
);

const largest = schemaOf<Largest>()(
  z.strictObject({ difference: z.number(), index: extents, a: z.number(), b: z.number() }),
);

const tensorComparison = schemaOf<DifferingTensor>()(
  z.strictObject({
    name: text,
    shape: extents,
    dtypes: z.strictObject({ a: dtype, b: dtype }),
    elements: count,
    differentBits: count.nullable(),
    differentValues: count.nullable(),
    beyondTolerance: count.nullable(),
    notFinite: count,
    first: extents.nullable(),
    largestAbsolute: largest.nullable(),
    largestRelative: largest.nullable(),
    isWithinTolerance: z.boolean(),
  }),
);

const fileKey = schemaOf<FileKey>()(
  z.strictObject({ at: text, a: text.nullable(), b: text.nullable(), isNote: z.boolean() }),
);

const fileComparison = schemaOf<FileComparison>()(
  z.strictObject({
    file: text,
    isDifferent: z.boolean(),
    onlyIn: z.enum(["a", "b"]).nullable(),
    differences: count,
    notes: count,
    keys: z.array(fileKey),
  }),
);

const tolerance = schemaOf<Tolerance>()(z.strictObject({ absolute: z.number(), relative: z.number() }));

const comparison = schemaOf<Comparison>()(
  z.strictObject({
    a: text,
    b: text,
    isEqual: z.boolean(),
    tolerance: tolerance.nullable(),
    tensors: z.strictObject({
      compared: count,
      equalBits: count,
      withinTolerance: count,
      different: count,
    }),
    elements: count,
    differing: z.array(tensorComparison),
    onlyInA: texts,
    onlyInB: texts,
    otherShapes: z.array(z.strictObject({ name: text, a: extents, b: extents })),
    otherDTypes: z.array(z.strictObject({ name: text, a: dtype, b: dtype })),
    files: z.array(fileComparison).nullable(),
    notes: texts,
    hints: texts,
    seconds: z.number(),
    threads: count,
  }),
);

const partChange = schemaOf<PartChange>()(
  z.strictObject({ ...changeSize.shape, part: text, layer: count.nullable() }),
);

const kindChange = schemaOf<KindChange>()(z.strictObject({ ...changeSize.shape, kind: text }));

const layerChange = schemaOf<LayerChange>()(
  z.strictObject({
    comparedAs: z.enum(["delta", "difference"]),
    overall: changeSize,
    parts: z.array(partChange),
    kinds: z.array(kindChange),
    tensorsCompared: count,
    tensorsNotCompared: texts,
    elementsCompared: z.number(),
    elementsSampled: count,
    notFinite: count,
  }),
);

const extent = count.nullable();
const modelConfig = schemaOf<ModelConfig>()(
  z.strictObject({
    architectures: texts,
    modelType: text.nullable(),
    hiddenSize: extent,
    intermediateSize: extent,
    layers: extent,
    attentionHeads: extent,
    keyValueHeads: extent,
    headDim: extent,
    vocabSize: extent,
    maxPositionEmbeddings: extent,
    maxSequenceLength: extent,
    rmsNormEps: z.number().nullable(),
    ropeScaling: z.strictObject({ type: text.nullable(), factor: z.number().nullable() }).nullable(),
    ropeTheta: z.number().nullable(),
    tieWordEmbeddings: z.boolean(),
    torchDType: text.nullable(),
    bosTokenId: z.int().nullable(),
    eosTokenId: z.int().nullable(),
    padTokenId: z.int().nullable(),
    nameOrPath: text.nullable(),
  }),
);

const tokenizerState = schemaOf<TokenizerState>()(
  z.strictObject({
    files: texts,
    pieces: count.nullable(),
    addedTokens: count.nullable(),
    rows: count.nullable(),
    problems: texts,
    faults: texts,
  }),
);

const publishedShard = schemaOf<PublishedShard>()(
  z.strictObject({ file: text, byteLength: bytes.nullable(), sha256: text.nullable() }),
);

const release = schemaOf<Release>()(
  z.strictObject({
    version: z.enum(["v0", "v1.1", "v1.3", "v1.5", "v1.5-16k"]),
    size: z.enum(["7B", "13B", "33B"]),
    kind: z.enum(["delta", "merged"]),
    repository: text,
    base: text,
    date: text.nullable(),
    fastchat: text.nullable(),
    transformers: text.nullable(),
    contextTokens: count,
    prompt: z.enum(["v0", "v1.1"]),
    embedRows: count,
    shards: z.array(publishedShard).nullable(),
    whatToDo: text,
  }),
);

const recognition = schemaOf<Recognition>()(
  z.strictObject({
    recognized: z
      .strictObject({
        release,
        clue: z.enum(["checksum", "repository", "folder", "config", "shard-sizes", "shape"]),
        sureness: z.enum(["certain", "likely", "possible"]),
      })
      .nullable(),
    doubts: texts,
  }),
);

const inspectedTensor = schemaOf<InspectedTensor>()(
  z.strictObject({ name: text, dtype, shape: extents, bytes, file: text }),
);

const inspection = schemaOf<InspectDocument>()(
  z.strictObject({
    model: text,
    formats: texts,
    parameters: count,
    bytes,
    dtypes: z.array(z.strictObject({ dtype, tensors: count, elements: count, bytes })),
    shards: z.array(z.strictObject({ file: text, bytes, tensors: count })),
    filter: text.nullable(),
    tensorCount: count,
    tensors: z.array(inspectedTensor),
    config: z.strictObject({ ...modelConfig.shape, contextTokens: count.nullable() }).nullable(),
    tokenizer: tokenizerState,
    release: recognition,
    change: z.strictObject({ ...layerChange.shape, base: text }).nullable(),
    notes: texts,
  }),
);

const check = schemaOf<Check>()(
  z.strictObject({
    name: z.enum(["weights", "index", "config", "tokenizer", "record", "checksums", "numbers", "sum"]),
    status: z.enum(["ok", "failed", "skipped"]),
    detail: text,
  }),
);

const verification = schemaOf<Verification>()(
  z.strictObject({
    target: text,
    verdict: z.enum(["ok", "failed"]),
    checks: z.array(check),
    weightsProven: z.boolean(),
    notes: texts,
  }),
);

const listedRelease = schemaOf<ListedRelease>()(z.strictObject({ ...release.shape, title: text }));
const weights = schemaOf<WeightsDocument>()(z.strictObject({ releases: z.array(listedRelease) }));

const errorCodes = Object.keys(EXIT_OF) as [ErrorCode, ...ErrorCode[]];
const reportedError = schemaOf<ReportedError>()(
  z.strictObject({
    code: z.enum([...errorCodes, "bug"]),
    message: text,
    file: text.optional(),
    tensor: text.optional(),
    offsetBytes: count.optional(),
    expected: z.union([text, z.number()]).optional(),
    got: z.union([text, z.number()]).optional(),
    hint: text.optional(),
  }),
);
const error = schemaOf<ErrorDocument>()(z.strictObject({ error: reportedError }));

/** A document that a command prints. */
export interface DocumentSchema {
  readonly schema: z.ZodType;
  /** The name of its type in the library. */
  readonly type: string;
  /** The command that prints it. */
  readonly printedBy: string;
}

/** By the name of their file in docs/schemas. */
export const DOCUMENTS: Readonly<Record<string, DocumentSchema>> = {
  apply: { schema: applied, type: "ApplyDocument", printedBy: "--base … --delta … --target … --json" },
  "apply-plan": { schema: mergePlan, type: "MergePlanDocument", printedBy: "… --dry-run --json" },
  make: { schema: madeDelta, type: "MakeDocument", printedBy: "make … --json" },
  "make-plan": { schema: deltaPlan, type: "DeltaPlanDocument", printedBy: "make … --dry-run --json" },
  compare: { schema: comparison, type: "Comparison", printedBy: "compare … --json" },
  inspect: { schema: inspection, type: "InspectDocument", printedBy: "inspect … --json" },
  verify: { schema: verification, type: "Verification", printedBy: "verify … --json" },
  upload: { schema: uploadSummary, type: "UploadSummary", printedBy: "upload … --json" },
  weights: { schema: weights, type: "WeightsDocument", printedBy: "weights --json" },
  error: { schema: error, type: "ErrorDocument", printedBy: "any command with --json that fails" },
};
