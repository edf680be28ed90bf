/**
 * In: what the Hub's library asks for while it uploads. Out: answers.
 * Guards: the token goes to the Hub alone, and never by way of the library; a request that fails for a while is made
 * again, a bounded number of times; large files are sent a few at a time, in order, so that what an interrupted upload
 * has sent is whole files.
 */
import { z } from "zod";
import { HubAnswer, OddAnswer } from "../hub/answers.js";
import type { HubConnection } from "../hub/connection.js";
import type { Fetch } from "../hub/requests.js";
import { type Retrier, withRetries } from "../hub/retry.js";
import { createLimit } from "../limit.js";
import { FileBlob } from "./file-blob.js";

/**
 * What the library gets for a token: some of its functions insist on one, of this form. It stands for no account, and
 * is taken out of every request before the real one is put in.
 */
export const PLACEHOLDER_TOKEN = "hf_placeholder";

/** Two, so that the line isn't idle while one ends and the next begins. */
const FILES_AT_ONCE = 2;

/** An answer of the storage the Hub sends files to, not of the Hub. */
export class StorageAnswer extends HubAnswer {}

/** What a request failed with, also where the library loses it on its way up. */
export interface UploadRequests {
  readonly fetch: Fetch;
  /** Rejects with the first failure. */
  readonly failed: Promise<never>;
}

export interface UploadWatcher {
  /** The Hub has looked which large files it lacks: bytes it wants, bytes it has. */
  onWanted(bytesWanted: number, bytesThere: number): void;
  /** More bytes of a file are on their way; a negative number takes some back. */
  onBytes(fileName: string, byteLength: number): void;
}

const batchSchema = z.object({
  objects: z.array(
    z.object({
      size: z.number().int().nonnegative(),
      actions: z.object({ upload: z.object({ href: z.string() }).optional() }).optional(),
    }),
  ),
});

export function createUploadRequests(
  { fetchAny, fetchApi }: HubConnection,
  endpoint: string,
  retrier: Retrier,
  watcher: UploadWatcher,
): UploadRequests {
  const files = createLimit(FILES_AT_ONCE);
  const sending = new Map<string, SendingFile>();
  const needsHttps = new URL(endpoint).protocol === "https:";

  async function put(url: URL, init: RequestInit, blob: FileBlob): Promise<Response> {
    // As for redirects: an answer leads to the web only, and not from HTTPS to HTTP.
    if (!/^https?:$/.test(url.protocol) || (needsHttps && url.protocol === "http:")) {
      throw new OddAnswer(`storage at ${url.protocol}//${url.host}`);
    }
    const { fileName } = blob;
    const file = sending.get(fileName) ?? { turn: files.enter(), bytesLeft: blob.file.byteLength };
    sending.set(fileName, file);
    const endTurn = await file.turn;
    const answer = await withRetries(retrier, async () => {
      let sent = 0;
      const body = blob.watched((byteLength) => {
        sent += byteLength;
        watcher.onBytes(fileName, byteLength);
      });
      try {
        const got = await fetchAny(url, { ...init, body });
        if (!got.ok) throw storageAnswer(got);
        return got;
      } catch (error) {
        watcher.onBytes(fileName, -sent);
        throw error;
      }
    });
    file.bytesLeft -= blob.size;
    if (file.bytesLeft > 0) return answer;
    sending.delete(fileName);
    endTurn();
    return answer;
  }

  async function ask(url: URL, init: RequestInit): Promise<Response> {
    const answer = await withRetries(retrier, () => fetchApi(url, init));
    if (!url.pathname.endsWith("/info/lfs/objects/batch")) return answer;
    const batch = batchSchema.safeParse(await answer.clone().json());
    if (!batch.success) throw new OddAnswer("unexpected JSON about the files that are wanted");
    const total = (isWanted: boolean) =>
      batch.data.objects
        .filter(({ actions }) => (actions?.upload !== undefined) === isWanted)
        .reduce((sum, { size }) => sum + size, 0);
    watcher.onWanted(total(true), total(false));
    return answer;
  }

  let fail: (error: unknown) => void = () => {};
  const failed = new Promise<never>((_, reject) => {
    fail = reject;
  });
  // Whoever waits for it hears of it; nobody may.
  failed.catch(() => {});
  const answer: Fetch = async (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const own = { ...init, headers: withoutPlaceholder(init.headers) };
    try {
      return await (init.body instanceof FileBlob ? put(url, own, init.body) : ask(url, own));
    } catch (error) {
      fail(error);
      throw error;
    }
  };
  return { failed, fetch: answer };
}

function withoutPlaceholder(given: RequestInit["headers"]): Headers {
  const headers = new Headers(given);
  if (headers.get("authorization") === `Bearer ${PLACEHOLDER_TOKEN}`) headers.delete("authorization");
  return headers;
}

function storageAnswer({ status, headers }: Response): StorageAnswer {
  const { retryAfterMs } = HubAnswer.of({ status, headers });
  return new StorageAnswer(status, null, null, retryAfterMs);
}

/** A file that is being sent, perhaps in parts. */
interface SendingFile {
  /** Resolves when it is the file's turn, with what ends it. */
  readonly turn: Promise<() => void>;
  bytesLeft: number;
}
