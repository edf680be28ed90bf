/**
 * The bytes of files on the Hub on their way to the threads that read them: a window of slots in shared memory. What
 * the threads will read is known from the plan, so it is fetched ahead, several requests at once, until the window is
 * full; what has been read makes room for more. Bytes that nobody foresaw are fetched when they are asked for, and kept as
 * long as there is room.
 *
 * Memory is bounded by the slots. A range that was fetched ahead is fetched once. Every read is answered, one for bytes
 * outside the window by a request of its own, so that nothing waits for room that only it makes.
 */
import { ApplyDeltaError, isApplyDeltaError } from "../errors.js";
import {
  answerRead,
  answerWithFile,
  createExchange,
  type FileRange,
  listen,
  type RemoteFeed,
  refuseWish,
  type WaitingRead,
  waitingReads,
  wakeListener,
} from "../files/exchange.js";
import { Interruption } from "../interrupt.js";
import type { RemoteDescriptor } from "../tensor.js";
import type { ArrivingFile } from "./arriving-file.js";
import type { HubFile } from "./hub-file.js";
import { type JoinedRequest, joinRanges } from "./ranges.js";
import type { HubSession } from "./session.js";
import { type RemotePiece, SLOT_BYTES, SLOTS, WindowPieces } from "./window-pieces.js";

const MIB = 1024 * 1024;

/** How a line is filled: by what one request asks for, the requests at once, and the bytes that are fetched ahead. */
interface Filling {
  readonly requestBytes: number;
  readonly requestsPerConnection: number;
  readonly aheadBytes: number;
}

/** Each socket that has much to give holds some MB, so there are few. */
const NEAR: Filling = { requestBytes: 4 * MIB, requestsPerConnection: 1, aheadBytes: 32 * MIB };

/**
 * All but the latency's share of a window is bytes on their way, so many small requests fill a far line with less memory
 * than a few large ones: at 100 ms all that 8 connections of 40 MB/s give, at 200 ms two thirds.
 */
const FAR: Filling = { requestBytes: 2 * MIB, requestsPerConnection: 4, aheadBytes: 48 * MIB };

/** Where no answer came sooner, the line is far. */
const FAR_MS = 20;

/** Between tensors of a zip are local headers and padding. */
const MOST_GAP_BYTES = 16 * 1024;

/** Requests that are looked through for a read that comes early. */
const REQUESTS_IN_VIEW = 64;

/** A request of a sample is all latency, and needs no share of the line. */
const SMALL_REQUEST_BYTES = 64 * 1024;

/** Small requests at once for each connection. */
const SMALL_REQUESTS_PER_CONNECTION = 12;

export class RemoteWindow implements RemoteFeed {
  readonly #exchange = createExchange(SLOTS * SLOT_BYTES, this);
  readonly #files: HubFile[] = [];
  readonly #pieces = new WindowPieces();
  /** `piece`: null where the bytes come from a file that arrives. */
  readonly #waiting = new Map<number, { readonly read: WaitingRead; readonly piece: RemotePiece | null }>();
  readonly #arriving = new Map<number, ArrivingFile>();
  readonly #readBy = new Map<number, RemotePiece>();
  readonly #session: HubSession;
  #expected: Iterator<JoinedRequest> | null = null;
  #inView: JoinedRequest[] = [];
  /** A connection's worth is 1: many small requests, or a few large ones. */
  #connectionsBusy = 0;
  #failure: ApplyDeltaError | null = null;
  /** Whether a read waits for a slot. */
  #isFull = false;
  #isOver = false;

  constructor(session: HubSession) {
    this.#session = session;
    const look = () => {
      const reads = waitingReads(this.#exchange, this.#waiting, (mailbox) => this.#release(mailbox));
      for (const read of reads) this.#receive(read);
    };
    void listen(this.#exchange, look, () => this.#isOver);
  }

  add(file: HubFile): RemoteDescriptor {
    return { exchange: this.#exchange, file: this.#files.push(file) - 1 };
  }

  /** From now on the bytes of a file are waited for, and not fetched. */
  follow({ file }: RemoteDescriptor, arriving: ArrivingFile): void {
    this.#arriving.set(file, arriving);
  }

  expect(ranges: Iterable<FileRange>): void {
    this.forget();
    const mostBytes = Math.min(this.#filling.requestBytes, this.#session.settings.transfer.rangeBytes);
    this.#expected = joinRanges(this.#toFetch(ranges), mostBytes, MOST_GAP_BYTES);
    this.#fetchAhead();
  }

  forget(): void {
    this.#expected = null;
    this.#inView = [];
    this.#pieces.dropAhead();
  }

  cancel(): void {
    this.fail(new Interruption(null));
  }

  /** Nothing more is fetched or answered. */
  close(): void {
    this.cancel();
    this.forget();
    this.#isOver = true;
    wakeListener(this.#exchange);
  }

  #receive(read: WaitingRead): void {
    const { file, offsetBytes, byteLength, mailbox } = read;
    if (offsetBytes + byteLength > this.#fileAt(file).entry.byteLength)
      this.fail(new Error("a thread reads beyond the end of a file"));
    if (this.#failure !== null) {
      refuseWish(this.#exchange, mailbox, this.#failure);
      return;
    }
    const arriving = this.#arriving.get(file);
    if (arriving !== undefined) {
      this.#waiting.set(mailbox, { read, piece: null });
      arriving.whenWhole((fd) => {
        // Unless it was refused meanwhile.
        if (this.#waiting.delete(mailbox)) answerWithFile(this.#exchange, mailbox, fd);
      });
      return;
    }
    const find = () => this.#pieces.find(file, offsetBytes);
    if (find() === undefined && !this.#fetchEarly(read)) this.#fetchUnforeseen(read);
    const piece = find();
    if (piece === undefined) {
      // It stays in its mailbox until somebody is done.
      this.#isFull = true;
      return;
    }
    piece.users++;
    this.#waiting.set(mailbox, { read, piece });
    this.#answer(read, piece);
  }

  *#toFetch(ranges: Iterable<FileRange>): Generator<FileRange> {
    for (const range of ranges)
      if (typeof range.fd !== "number" && !this.#arriving.has(range.fd.file)) yield range;
  }

  /** Expected, but not begun: the window is full, and somebody is faster than the rest. */
  #fetchEarly({ file, offsetBytes }: WaitingRead): boolean {
    this.#fillView();
    const request = this.#inView.find(
      (each) =>
        each.file === file && each.wanted.some(([start, end]) => start <= offsetBytes && offsetBytes < end),
    );
    return request !== undefined && this.#begin(request, true);
  }

  #fetchUnforeseen({ file, offsetBytes }: WaitingRead): void {
    const start = offsetBytes - (offsetBytes % SLOT_BYTES);
    const end = Math.min(start + SLOT_BYTES, this.#fileAt(file).entry.byteLength);
    this.#begin({ file, start, end, wanted: [[start, end]] }, false);
  }

  get #filling(): Filling {
    return (this.#session.latency.leastMs ?? 0) >= FAR_MS ? FAR : NEAR;
  }

  #costOf({ start, end }: JoinedRequest): number {
    const isSmall = end - start <= SMALL_REQUEST_BYTES;
    return 1 / (isSmall ? SMALL_REQUESTS_PER_CONNECTION : this.#filling.requestsPerConnection);
  }

  #fileAt(file: number): HubFile {
    return this.#files[file] as HubFile;
  }

  #answer(read: WaitingRead, piece: RemotePiece): void {
    const end = Math.min(piece.end, read.offsetBytes + read.byteLength);
    if (piece.filledTo < end) return;
    const byteLength = end - read.offsetBytes;
    this.#waiting.delete(read.mailbox);
    this.#readBy.set(read.mailbox, piece);
    piece.takenBytes += byteLength;
    const position = piece.slot * SLOT_BYTES + read.offsetBytes - piece.start;
    answerRead(this.#exchange, read.mailbox, position, byteLength);
  }

  /** A thread has copied what it was given. */
  #release(mailbox: number): void {
    const piece = this.#readBy.get(mailbox);
    if (piece === undefined) return;
    this.#readBy.delete(mailbox);
    this.#pieces.release(piece);
    this.#fetchAhead();
    if (this.#isFull) wakeListener(this.#exchange);
    this.#isFull = false;
  }

  #fillView(): void {
    while (this.#inView.length < REQUESTS_IN_VIEW) {
      const next = this.#expected?.next();
      if (next === undefined || next.done === true) return;
      this.#inView.push(next.value);
    }
  }

  #fetchAhead(): void {
    if (this.#failure !== null) return;
    while (this.#connectionsBusy < this.#session.settings.transfer.connections) {
      this.#fillView();
      const [next] = this.#inView;
      if (
        next === undefined ||
        !this.#pieces.hasRoomFor(next, this.#filling.aheadBytes) ||
        !this.#begin(next, true)
      )
        return;
    }
  }

  /** Makes room for what a request brings, and sends it; false where there is no room. */
  #begin(request: JoinedRequest, isAhead: boolean): boolean {
    const pieces = this.#pieces.begin(request, isAhead);
    if (pieces === null) return false;
    this.#inView = this.#inView.filter((each) => each !== request);
    const cost = this.#costOf(request);
    this.#connectionsBusy += cost;
    void this.#bring(request, pieces).finally(() => {
      this.#connectionsBusy -= cost;
      this.#fetchAhead();
    });
    return true;
  }

  async #bring(request: JoinedRequest, pieces: readonly RemotePiece[]): Promise<void> {
    const { file, start, end } = request;
    let at = start;
    try {
      for await (const bytes of this.#fileAt(file).read(start, end)) {
        const wanted = pieces.filter(({ isDropped }) => !isDropped);
        if (wanted.length === 0) break;
        for (const piece of wanted) this.#put(piece, bytes, at);
        at += bytes.length;
      }
    } catch (error) {
      if (pieces.some(({ isDropped }) => !isDropped)) this.fail(error);
    }
  }

  #put(piece: RemotePiece, bytes: Uint8Array, at: number): void {
    const from = Math.max(at, piece.start);
    const to = Math.min(at + bytes.length, piece.end);
    if (to <= from) return;
    const place = piece.slot * SLOT_BYTES + from - piece.start;
    this.#exchange.data.set(bytes.subarray(from - at, to - at), place);
    piece.filledTo = to;
    for (const waiting of this.#waiting.values())
      if (waiting.piece === piece) this.#answer(waiting.read, piece);
  }

  /** The first failure is everybody's: the work ends by it. */
  fail(error: unknown): void {
    this.#failure ??= isApplyDeltaError(error)
      ? error
      : new ApplyDeltaError("hub-failure", `Fetching failed: ${String(error)}.`);
    for (const mailbox of this.#waiting.keys()) refuseWish(this.#exchange, mailbox, this.#failure);
    this.#waiting.clear();
    // Whoever waits for room is in no list.
    wakeListener(this.#exchange);
  }
}
