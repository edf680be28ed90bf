/** A Hub on loopback that takes uploads, a folder to send, and how to send it in this process. */
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { HubOptions } from "../../src/hub/settings.js";
import { silentReporter } from "../../src/progress.js";
import type { UploadSummary } from "../../src/upload/documents.js";
import { type UploadOptions, uploadModel } from "../../src/upload/upload-model.js";
import { filesIn, QUICK } from "./hub-run.js";
import {
  type HubServer,
  type RecordedRequest,
  type RepositorySample,
  startHub,
  TOKEN,
} from "./hub-server.js";
import { temporaryFolder, tinyPair, writeModel } from "./model-folder.js";

export const DESTINATION = "owner/tuned";

export interface UploadRun {
  readonly hub: HubServer;
  /** A model in two large shards, with an index and small files. */
  readonly folder: string;
  readonly options: (more?: UploadRunOptions) => UploadOptions;
  readonly upload: (more?: UploadRunOptions) => Promise<UploadSummary>;
  /** What the repository holds, but for what git itself needs. */
  readonly there: () => Record<string, Buffer>;
  /** Files that were sent to the storage, or tried to be. */
  readonly puts: () => RecordedRequest[];
}

export type UploadRunOptions = Partial<Omit<UploadOptions, "hub">> & {
  readonly hub?: HubOptions;
  readonly said?: string[];
};

export async function uploadRun(
  context: TestContext,
  repositories: Record<string, RepositorySample> = {},
): Promise<UploadRun> {
  const hub = await startHub(repositories, context);
  const root = temporaryFolder(context);
  const folder = writeModel(join(root, "tuned"), tinyPair().base, { shards: 2 });
  const options = ({ said = [], hub: hubOptions, ...more }: UploadRunOptions = {}): UploadOptions => {
    const say = (text: string) => void said.push(text);
    return {
      repository: DESTINATION,
      reporter: { ...silentReporter, detail: say, note: say, warn: say },
      ...more,
      hub: {
        endpoint: hub.url,
        token: TOKEN,
        tokenFile: null,
        ...hubOptions,
        transfer: { ...QUICK, ...hubOptions?.transfer },
      },
    };
  };
  return {
    hub,
    folder,
    options,
    upload: (more) => uploadModel(folder, options(more)),
    there() {
      const { ".gitattributes": _, ...files } = hub.repositories[DESTINATION]?.files ?? {};
      return files;
    },
    puts: () => hub.requests.filter(({ method }) => method === "PUT"),
  };
}

/** The files of a folder in the order of their names, as `there` should give them. */
export function sortedFiles(files: Record<string, Buffer>): [string, Buffer][] {
  return Object.entries(files).sort(([a], [b]) => (a < b ? -1 : 1));
}

export const localFiles = (folder: string) => sortedFiles(filesIn(folder));
