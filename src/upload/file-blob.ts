import { readFully, readInBackground } from "../files/local-file.js";
import type { OnBytes } from "../hub/transfer-meter.js";
import type { LocalFile } from "../tensor.js";

const CHUNK_BYTES = 256 * 1024;

/**
 * A file, or a part of it, that is read chunk by chunk as it is sent: the announced bytes, or an error. The library's
 * own FileBlob reads ahead without a bound on Node 20 (`Readable.toWeb` counts chunks where it means bytes): 1 GB of
 * memory for a file of 1 GB.
 */
export class FileBlob extends Blob {
  override readonly size: number;

  constructor(
    /** What the file is called where it is sent to. */
    readonly fileName: string,
    readonly file: LocalFile,
    private readonly start = 0,
    private readonly end = file.byteLength,
    private readonly onBytes?: OnBytes,
  ) {
    super([]);
    this.size = end - start;
  }

  override slice(start = 0, end = this.size): FileBlob {
    const [from, to] = [start, end].map((at) => Math.min(this.end, this.start + at)) as [number, number];
    return new FileBlob(this.fileName, this.file, from, to, this.onBytes);
  }

  /** The same, telling how much was read of it. */
  watched(onBytes: OnBytes): FileBlob {
    return new FileBlob(this.fileName, this.file, this.start, this.end, onBytes);
  }

  override async arrayBuffer(): Promise<ArrayBuffer> {
    const bytes = new Uint8Array(this.size);
    readFully(this.file.fd, bytes, this.start, this.file.path);
    return bytes.buffer;
  }

  override async text(): Promise<string> {
    return new TextDecoder().decode(await this.arrayBuffer());
  }

  override stream(): ReturnType<Blob["stream"]> {
    let at = this.start;
    const { end, file, onBytes } = this;
    const stream = new ReadableStream<Uint8Array<ArrayBuffer>>(
      {
        async pull(controller) {
          if (at < end) {
            const chunk = new Uint8Array(Math.min(CHUNK_BYTES, end - at));
            await readInBackground(file, chunk, at);
            at += chunk.length;
            onBytes?.(chunk.length);
            controller.enqueue(chunk);
          }
          if (at === end) controller.close();
        },
      },
      { highWaterMark: 0 },
    );
    return stream as ReturnType<Blob["stream"]>;
  }
}
