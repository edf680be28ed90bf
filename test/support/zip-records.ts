/** The records of a zip as an independent reader sees them, each with the right checksum or the test fails. */
import assert from "node:assert/strict";
import { promisify } from "node:util";
import { crc32 } from "node:zlib";
import * as yauzl from "yauzl";

const fromBuffer = promisify<Buffer, yauzl.Options, yauzl.ZipFile>(yauzl.fromBuffer);

/** Names and bytes, in the directory's order. */
export async function readZipRecords(file: Buffer): Promise<Map<string, Buffer>> {
  const zip = await fromBuffer(file, { lazyEntries: true });
  const records = new Map<string, Buffer>();
  await new Promise<void>((resolve, reject) => {
    zip.on("end", resolve).on("error", reject);
    zip.on("entry", (entry: yauzl.Entry) => {
      zip.openReadStream(entry, (error, stream) => {
        if (error) return reject(error);
        const chunks: Buffer[] = [];
        stream.on("error", reject);
        stream.on("data", (chunk: Buffer) => chunks.push(chunk));
        stream.on("end", () => {
          const bytes = Buffer.concat(chunks);
          records.set(entry.fileName, bytes);
          if (bytes.length !== entry.uncompressedSize || crc32(bytes) !== entry.crc32) {
            return reject(
              new assert.AssertionError({ message: `${entry.fileName} isn't what the zip says` }),
            );
          }
          zip.readEntry();
        });
      });
    });
    zip.readEntry();
  });
  return records;
}
