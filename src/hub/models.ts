/**
 * The models a command reads, from their references to open checkpoints: each is found or fetched once, opened once,
 * and closed when the command ends, connections included. A local path wins over a name on the Hub; local models load
 * nothing of the Hub's code.
 */

import { homedir } from "node:os";
import { join } from "node:path";
import { ApplyDeltaError } from "../errors.js";
import { sourceExists } from "../files/local-file.js";
import { type Checkpoint, openCheckpoint } from "../formats/open.js";
import { formatTitles } from "../formats/table.js";
import { pauseFor, throwIfAborted } from "../interrupt.js";
import { type Reporter, silentReporter } from "../progress.js";
import { assertApart } from "../target/target.js";
import { isLocalFile } from "../tensor.js";
import { plural } from "../units.js";
import { completeHubSettings, type HubOptions } from "./hub-settings.js";
import { adviceFor } from "./model-address.js";
import { hasHubScheme, parseHubReference, type WantedModel } from "./reference.js";
import type { StreamedWeights } from "./stream-weights.js";

export type ModelRole = "base" | "delta" | "tuned model" | "model";

/** The roles that what is made is as large as. */
const SIZED: readonly ModelRole[] = ["delta", "tuned model"];

export interface ModelRequest {
  readonly role: ModelRole;
  /** A local path, `owner/name`, `owner/name@revision` or `hf://owner/name`. */
  readonly reference: string;
  /** The revision, where an option names it. */
  readonly revision?: string | undefined;
}

/** A request that was understood: a local path, or a model on the Hub. */
export type ReadRequest = ModelRequest & ({ readonly path: string } | { readonly wanted: WantedModel });

/** A model that was found. */
export interface Model {
  readonly reference: string;
  /** A folder or a file that exists; for a model on the Hub, its snapshot in the cache. */
  readonly path: string;
  /** Null for a local path. */
  readonly hub: HubOrigin | null;
  /** Whether its weights stay on the Hub and are read from there. */
  readonly isStreamed: boolean;
  /** Opens its weights; the same again when it is called again. Errors: those of `openCheckpoint`. */
  open(): Promise<OpenModel>;
}

export interface HubOrigin {
  readonly repository: string;
  readonly revision: string;
  readonly commit: string;
}

/** A model with its weights open. */
export interface OpenModel extends Checkpoint {
  readonly reference: string;
  /** Null for a local path. */
  readonly hub: HubOrigin | null;
}

export interface ModelsOptions {
  readonly hub?: HubOptions | undefined;
  readonly reporter?: Reporter | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Errors: `source-not-found`, `source-unreadable`, `bad-usage`. Asks no network. */
export function readRequest(request: ModelRequest): ReadRequest {
  const { role, reference, revision } = request;
  // A shell expands `~` in `--base ~/llama` but not in `--base=~/llama`.
  const path = reference.startsWith("~/") ? join(homedir(), reference.slice(2)) : reference;
  if (!hasHubScheme(reference) && sourceExists(path)) {
    if (revision === undefined) return { ...request, path };
    throw new ApplyDeltaError("bad-usage", `The ${role} is a local path, which has no revision.`, {
      file: path,
      got: revision,
      hint: "Leave the revision out, or name a model on the Hub: hf://owner/name.",
    });
  }
  const wanted = parseHubReference(reference, revision);
  if (wanted !== null) return { ...request, wanted: { ...wanted, reference } };
  throw new ApplyDeltaError(
    "source-not-found",
    `No such file or folder for the ${role}: ${JSON.stringify(reference)}.`,
    {
      file: reference,
      expected: "a model's folder, its weights file, or owner/name on the Hugging Face Hub",
      hint: adviceFor(reference),
    },
  );
}

/** The paths of those that are on this machine as given. */
export function localPathsOf(requests: readonly ReadRequest[]): string[] {
  return requests.flatMap((request) => ("path" in request ? [request.path] : []));
}

/**
 * Finds the models, runs `body` with them and closes whatever was opened, also where it fails. With `hub.stream` the
 * weights of models on the Hub stay there. `target` is the real path of a folder that will be made: it must overlap no
 * model, and its disk must have room for it beside what is downloaded.
 * Errors: those of `fetchModels`; `target-overlaps-source`; `interrupted`.
 */
export async function withModels<const Requests extends readonly ReadRequest[], T>(
  requests: Requests,
  options: ModelsOptions & { readonly target?: string },
  body: (...models: { readonly [Index in keyof Requests]: Model }) => Promise<T>,
): Promise<T> {
  throwIfAborted(options.signal);
  const set = new ModelSet(options);
  try {
    const here = requests.map((request) =>
      "path" in request ? set.model(request, { path: request.path, hub: null, weights: null }) : null,
    );
    const remote = requests.flatMap((request) => ("wanted" in request ? [request] : []));
    const fetched =
      remote.length === 0 ? [] : await fetchRemote(remote, await bytesToMake(requests, here), options);
    let next = 0;
    const models = requests.map((request, i) => here[i] ?? set.model(request, fetched[next++] as Place));
    return await body(...(models as { [Index in keyof Requests]: Model }));
  } finally {
    await set.close();
  }
}

type RemoteRequest = Extract<ReadRequest, { readonly wanted: WantedModel }>;

/** Where a model is. */
interface Place extends Pick<Model, "path" | "hub"> {
  /** Where the weights are read that aren't at `path`; null where all are. */
  readonly weights: StreamedWeights | null;
}

/** The models of a command, and what is open of them. */
class ModelSet {
  readonly #options: ModelsOptions & { readonly target?: string };
  readonly #checkpoints: Checkpoint[] = [];
  readonly #weights: StreamedWeights[] = [];

  constructor(options: ModelsOptions & { readonly target?: string }) {
    this.#options = options;
  }

  model(request: ReadRequest, place: Place): Model {
    const { path, hub, weights } = place;
    if (weights !== null) this.#weights.push(weights);
    let opened: Promise<OpenModel> | undefined;
    const open = () => {
      opened ??= this.#open(request, place);
      return opened;
    };
    return { reference: request.reference, path, hub, isStreamed: weights !== null, open };
  }

  async #open({ role, reference }: ReadRequest, { path, hub, weights }: Place): Promise<OpenModel> {
    const { target, reporter, signal } = this.#options;
    const checkpoint = await openCheckpoint(path, pauseFor(signal), weights);
    this.#checkpoints.push(checkpoint);
    const files = checkpoint.files.filter(isLocalFile).map((file) => file.path);
    if (target !== undefined) assertApart(target, [path, ...files]);
    reporter?.detail(`${role}: ${describeCheckpoint(checkpoint)}`);
    return { ...checkpoint, reference, hub };
  }

  async close(): Promise<void> {
    for (const checkpoint of this.#checkpoints) checkpoint.close();
    for (const weights of this.#weights) await weights.close();
  }
}

/** Brings models onto this machine, or all of them but the weights. */
async function fetchRemote(
  requests: readonly RemoteRequest[],
  localBytes: number,
  { hub, reporter = silentReporter, signal, target }: ModelsOptions & { readonly target?: string },
): Promise<Place[]> {
  const { fetchModels } = await import("./fetch-models.js");
  const fetched = await fetchModels(
    requests.map(({ wanted }) => wanted),
    {
      settings: completeHubSettings(hub),
      reporter,
      signal,
      otherNeeds(weightBytes) {
        const bytes = weightBytes[requests.findIndex(isSized)] ?? localBytes;
        return target === undefined ? [] : [{ path: target, bytes, what: "the target" }];
      },
    },
  );
  return fetched.map(({ path, commit, weights }, i) => {
    const { repository, revision } = (requests[i] as RemoteRequest).wanted;
    return { path, hub: { repository, revision, commit }, weights };
  });
}

function isSized({ role }: ModelRequest): boolean {
  return SIZED.includes(role);
}

/** A local delta is opened before anything is downloaded for it: what is wrong with it is said at once. */
async function bytesToMake(
  requests: readonly ReadRequest[],
  here: readonly (Model | null)[],
): Promise<number> {
  const checkpoint = await here[requests.findIndex(isSized)]?.open();
  return checkpoint?.files.reduce((sum, { byteLength }) => sum + byteLength, 0) ?? 0;
}

function describeCheckpoint({ path, formats, files, tensors }: Checkpoint): string {
  return `${path} (${formatTitles(formats)}, ${plural(files.length, "file")}, ${plural(tensors.length, "tensor")})`;
}
