/**
 * The options of every program of the library, and what each of them may be. What they mean is said where their types
 * are. Loaded with the first call, not with the library.
 */
import type { ApplyDeltaOptions } from "./apply/apply-delta.js";
import {
  abortSignal,
  anyText,
  callback,
  factor,
  fields,
  flag,
  integer,
  nullable,
  type OptionRules,
  oneOf,
  optional,
  shape,
  text,
  tolerance,
} from "./check-options.js";
import type { CompareOptions } from "./compare/compare-models.js";
import type { TargetFormat } from "./formats/table.js";
import type { HubSettings, ProxySettings, TransferSettings } from "./hub/hub-settings.js";
import type { InspectOptions } from "./inspect/inspect-model.js";
import type { KernelChoice } from "./kernel/select.js";
import type { PromptStyle } from "./llama/prompt-templates.js";
import type { MakeDeltaOptions } from "./make/make-delta.js";
import type { TunedRules } from "./make/match-tuned.js";
import type { MatchRules } from "./merge/match.js";
import type { OutputOptions } from "./merge/output-options.js";
import type { Reporter } from "./progress.js";
import type { Callable, CallOptions } from "./run-program.js";
import type { SumDType } from "./tensor.js";
import type { UploadOptions } from "./upload/upload-model.js";
import type { VerifyOptions } from "./verify/verify-target.js";

/** More threads than this are a typing error. */
const MOST_THREADS = 256;

/** All of them may be left out. */
function anyOf<Options>(rules: OptionRules<Options>): Readonly<Record<string, ReturnType<typeof optional>>> {
  const entries = Object.entries<OptionRules<Options>[keyof Options]>(rules);
  return Object.fromEntries(entries.map(([name, check]) => [name, optional(check)]));
}

const wholeOrDropped = { keep: true, drop: true, error: true } as const;

const mergeRules: OptionRules<MatchRules> = {
  newRows: oneOf<MatchRules["newRows"]>({ zero: true, mean: true, error: true }),
  trimRows: flag,
  deltaOnly: oneOf<MatchRules["deltaOnly"]>(wholeOrDropped),
  baseOnly: oneOf<MatchRules["baseOnly"]>(wholeOrDropped),
};

const tunedRules: OptionRules<TunedRules> = {
  targetOnly: oneOf<TunedRules["targetOnly"]>(wholeOrDropped),
  baseOnly: oneOf<TunedRules["baseOnly"]>({ drop: true, error: true }),
};

const proxyRules: OptionRules<ProxySettings> = {
  http: nullable(text),
  https: nullable(text),
  except: anyText,
};

const transferRules: OptionRules<TransferSettings> = {
  connections: integer(1),
  rangeBytes: integer(1),
  noteBytes: integer(1),
  stallMs: integer(1),
  attempts: integer(1),
  firstDelayMs: integer(0),
  longestDelayMs: integer(0),
};

const hubRules: OptionRules<HubSettings> = {
  endpoint: text,
  cacheFolder: text,
  token: nullable(text),
  tokenFile: nullable(text),
  offline: flag,
  stream: flag,
  useXet: flag,
  proxy: shape(anyOf(proxyRules)),
  transfer: shape(anyOf(transferRules)),
};

const reporterRules: OptionRules<Reporter> = {
  detail: callback,
  note: callback,
  warn: callback,
  progress: callback,
  progressDone: callback,
};

const callRules: OptionRules<CallOptions> = {
  signal: optional(abortSignal),
  onProgress: optional(callback),
  // It may be somebody's object with more in it.
  reporter: optional(fields(anyOf(reporterRules))),
};

const dtype = oneOf<"auto" | SumDType>({ auto: true, F16: true, BF16: true, F32: true });
const kernel = oneOf<KernelChoice>({ auto: true, simd: true, reference: true });
const threads = integer(1, MOST_THREADS);
const hub = shape(anyOf(hubRules));

const outputRules: OptionRules<Callable<OutputOptions>> = {
  ...callRules,
  format: optional(oneOf<TargetFormat>({ safetensors: true, bin: true })),
  maxShardBytes: optional(integer(1)),
  threads: optional(threads),
  kernel: optional(kernel),
  overwrite: optional(flag),
  restart: optional(flag),
  sync: optional(flag),
  checksums: optional(flag),
  hub: optional(hub),
};

export const APPLY_RULES: OptionRules<Callable<ApplyDeltaOptions>> = {
  ...outputRules,
  base: text,
  delta: text,
  target: text,
  baseRevision: optional(text),
  deltaRevision: optional(text),
  dtype: optional(dtype),
  force: optional(flag),
  skipBaseCheck: optional(flag),
  verifyDelta: optional(flag),
  verify: optional(flag),
  rules: optional(shape(anyOf(mergeRules))),
  scale: optional(factor),
  chatTemplate: optional(nullable(oneOf<"auto" | PromptStyle>({ auto: true, v0: true, "v1.1": true }))),
};

export const MAKE_RULES: OptionRules<Callable<MakeDeltaOptions>> = {
  ...outputRules,
  base: text,
  tuned: text,
  delta: text,
  baseRevision: optional(text),
  tunedRevision: optional(text),
  rules: optional(shape(anyOf(tunedRules))),
  exact: optional(flag),
};

export const COMPARE_RULES: OptionRules<Callable<CompareOptions>> = {
  ...callRules,
  a: text,
  b: text,
  tolerance: optional(tolerance),
  relativeTolerance: optional(tolerance),
  weightsOnly: optional(flag),
  hub: optional(hub),
  threads: optional(threads),
};

export const INSPECT_RULES: OptionRules<Callable<InspectOptions>> = {
  ...callRules,
  model: text,
  base: optional(text),
  filter: optional(anyText),
  revision: optional(text),
  baseRevision: optional(text),
  hub: optional(hub),
};

export const VERIFY_RULES: OptionRules<Callable<VerifyOptions>> = {
  ...callRules,
  target: text,
  sources: optional(shape({ base: text, delta: text })),
  dtype: optional(dtype),
  scale: optional(factor),
  rules: optional(shape(anyOf(mergeRules))),
  hub: optional(hub),
  threads: optional(threads),
  kernel: optional(kernel),
};

export const CHECK_UPLOAD_RULES: OptionRules<Callable<UploadOptions>> = {
  ...callRules,
  repository: text,
  private: optional(flag),
  message: optional(text),
  overwrite: optional(flag),
  hub: optional(hub),
};

export const UPLOAD_RULES: OptionRules<Callable<UploadOptions & { readonly folder: string }>> = {
  ...CHECK_UPLOAD_RULES,
  folder: text,
};
