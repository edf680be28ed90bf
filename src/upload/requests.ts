import { z } from "zod";
import { HubAnswer, ProtocolError } from "../hub/answers.js";
import type { Fetch } from "../hub/requests.js";
import { withRetries } from "../hub/retry.js";
import type { HubSession } from "../hub/session.js";
import { createLimit } from "../limit.js";
import { FileBlob } from "./file-blob.js";

/**
 * The library's token: some of its functions insist on one, of this form. It is taken out of every request before the
 * real one is put in.
 */
export const PLACEHOLDER_TOKEN = "hf_placeholder";

/** Two, so that the line isn't idle while one ends and the next begins. */
const FILES_AT_ONCE = 2;

/** An answer of the storage the Hub sends files to, not of the Hub. */
export class StorageAnswer extends HubAnswer {}

export interface UploadRequests {
  readonly fetch: Fetch;
  /** Rejects with the first failure of a request, also where the library loses it. */
  readonly failed: Promise<never>;
}

export interface UploadWatcher {
  /** The Hub lacks large files of so many bytes. */
  onWanted(byteLength: number): void;
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

/**
 * Makes the requests of the Hub's library while it uploads, again where they fail for a while. The token goes to the
 * Hub alone, and not by way of the library. Large files are sent a few at a time, in order, so that an interrupted
 * upload has sent whole files.
 */
export function createUploadRequests(session: HubSession, watcher: UploadWatcher): UploadRequests {
  const { retrier } = session;
  const { fetchAny, fetchApi } = session.connection;
  const files = createLimit(FILES_AT_ONCE);
  const sending = new Map<string, SendingFile>();
  const needsHttps = new URL(session.settings.endpoint).protocol === "https:";

  async function put(url: URL, init: RequestInit, blob: FileBlob): Promise<Response> {
    // As for redirects: an answer leads to the web only, and not from HTTPS to HTTP.
    if (!/^https?:$/.test(url.protocol) || (needsHttps && url.protocol === "http:")) {
      throw new ProtocolError(`storage at ${url.protocol}//${url.host}`);
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
    if (!batch.success) throw new ProtocolError("unexpected JSON about the files that are wanted");
    const wanted = batch.data.objects.filter(({ actions }) => actions?.upload !== undefined);
    watcher.onWanted(wanted.reduce((sum, { size }) => sum + size, 0));
    return answer;
  }

  let fail: (error: unknown) => void = () => {};
  const failed = new Promise<never>((_, reject) => {
    fail = reject;
  });
  // Perhaps nobody waits for it.
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
