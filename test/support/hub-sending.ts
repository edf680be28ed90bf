/** How the Hub on loopback sends a file's bytes: a range of them, as fast as its line is, or wrong as a test wants it. */
import type { ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { Fault, RecordedRequest } from "./hub-server.js";

/** `bytes=0-9` as [0, 10]. */
export function rangeOf(header: string | undefined): readonly [number, number] | null {
  const match = /^bytes=(\d+)-(\d*)$/.exec(header ?? "");
  return match === null
    ? null
    : [Number(match[1]), match[2] === "" ? Number.POSITIVE_INFINITY : Number(match[2]) + 1];
}

export type SendFile = (bytes: Buffer, headers: Record<string, string>) => Promise<void>;

export async function sendFile(
  request: RecordedRequest,
  response: ServerResponse,
  bytes: Buffer,
  headers: Record<string, string>,
  fault: Fault | undefined,
  capacity: number,
): Promise<void> {
  const { range } = request;
  const [start, end] = range === null ? [0, bytes.length] : [range[0], Math.min(range[1], bytes.length)];
  if (range !== null && start >= bytes.length) return void response.writeHead(416).end();
  const body =
    fault?.kind === "corrupt" ? Buffer.from(bytes.subarray(start, end)) : bytes.subarray(start, end);
  if (fault?.kind === "corrupt") body[body.length >> 1] = (body[body.length >> 1] ?? 0) ^ 1;
  // Without a length the end of a truncated body looks like an end.
  const length = fault?.kind === "truncate" ? {} : { "content-length": String(body.length) };
  const partial = range === null ? {} : { "content-range": `bytes ${start}-${end - 1}/${bytes.length}` };
  response.writeHead(range === null ? 200 : 206, { ...headers, ...length, ...partial });
  if (request.method === "HEAD") return void response.end();
  const most = fault !== undefined && "afterBytes" in fault ? fault.afterBytes : body.length;
  const bytesPerSecond = fault?.kind === "throttle" ? fault.bytesPerSecond : capacity;
  const piece = Math.ceil(Math.min(64 * 1024, bytesPerSecond / 50));
  const begin = performance.now();
  // A connection that closes takes back no write.
  let wake = () => {};
  response.once("close", () => wake());
  for (let at = 0; at < Math.min(most, body.length) && !response.destroyed; at += piece) {
    const part = body.subarray(at, Math.min(at + piece, most, body.length));
    await new Promise<void>((resolve) => {
      wake = resolve;
      response.write(part, () => resolve());
    });
    if (!response.destroyed) request.sentBytes += part.length;
    const early = begin + (1000 * (at + part.length)) / bytesPerSecond - performance.now();
    if (early > 1) await sleep(early);
  }
  if (fault?.kind === "stall") return;
  // What is written already still reaches the client.
  if (fault?.kind === "drop" && most < body.length) response.socket?.destroySoon();
  else response.end();
}
