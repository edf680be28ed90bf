/** A file as a Blob: the bytes of any part, by stream and at once; and the memory that sending it takes. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { truncateSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { openLocalFile } from "../../src/files/local-file.js";
import { openSession } from "../../src/hub/session.js";
import { completeHubSettings } from "../../src/hub/settings.js";
import { silentReporter } from "../../src/progress.js";
import { FileBlob } from "../../src/upload/file-blob.js";
import { temporaryFolder } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";

function blobOf(context: TestContext, bytes: Uint8Array): FileBlob {
  const path = join(temporaryFolder(context), "file");
  writeFileSync(path, bytes);
  const file = openLocalFile(path);
  context.after(() => file.close());
  return new FileBlob("file", file);
}

async function streamed(blob: Blob): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of blob.stream()) chunks.push(chunk);
  return Buffer.concat(chunks);
}

test("any part, by stream and at once; a part of a part", async (context) => {
  const bytes = randomBytes(600_000);
  const blob = blobOf(context, bytes);
  for (const [start, end] of [
    [0, 600_000],
    [0, 0],
    [1, 2],
    [262_143, 262_145],
    [599_999, 600_000],
    [5, 10_000_000],
  ]) {
    const part = blob.slice(start, end);
    const expected = bytes.subarray(start, end);
    assert.equal(part.size, expected.length);
    assert.deepEqual(await streamed(part), expected);
    assert.deepEqual(Buffer.from(await part.arrayBuffer()), expected);
  }
  assert.deepEqual(await streamed(blob.slice(100, 1_000).slice(50, 100)), bytes.subarray(150, 200));
  let read = 0;
  await streamed(blob.watched((byteLength) => (read += byteLength)).slice(10, 400_000));
  assert.equal(read, 399_990);
});

test("a file that became shorter is an error, not a shorter file", async (context) => {
  const blob = blobOf(context, randomBytes(600_000));
  truncateSync(blob.file.path, 300_000);
  await refusal(() => streamed(blob), "truncated-file", { file: blob.file.path });
});

test("what was sent isn't kept in memory", async (context) => {
  const sent = 200_000_000;
  const blob = blobOf(context, new Uint8Array(0));
  truncateSync(blob.file.path, sent);
  const file = openLocalFile(blob.file.path);
  let received = 0;
  const server = createServer((request, response) => {
    request.on("data", (chunk: Buffer) => {
      received += chunk.length;
    });
    request.on("end", () => response.end());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const settings = completeHubSettings({ endpoint, tokenFile: null });
  const session = openSession(settings, silentReporter);
  const before = process.memoryUsage().arrayBuffers;
  let most = 0;
  const body = new FileBlob("file", file).watched(() => {
    most = Math.max(most, process.memoryUsage().arrayBuffers - before);
  });
  const answer = await session.ask(`${endpoint}/x`, { method: "PUT", body });
  assert.deepEqual([answer.status, received], [200, sent]);
  assert.ok(most < sent / 2, `${most} bytes`);
  await session.close();
  file.close();
  await new Promise((resolve) => server.close(resolve));
});
