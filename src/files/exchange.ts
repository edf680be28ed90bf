/**
 * How a thread reads a file that only another thread can fetch: the network belongs to the thread that opened the files.
 * A worker puts what it wants to read into a mailbox in shared memory, rings, and waits; the other thread answers with a
 * place in shared memory where the bytes are, with the descriptor of a file that has them by now, or with the error it
 * met. That place stays as it is until the reader has copied it.
 */
import { threadId } from "node:worker_threads";
import { type ApplyDeltaError, type ErrorData, errorFrom } from "../errors.js";
import type { Descriptor, Exchange, RemoteDescriptor } from "../tensor.js";

/** Each read has one while it waits. A thread keeps those that it took, so they are as many as reads at once, of all jobs. */
const MAILBOXES = 4096;

/** Indices into `control`; the states of the mailboxes follow. */
const BELL = 0;
const NEXT_MAILBOX = 1;
const STATES_AT = 2;

/** What a mailbox is in: nothing; a read that waits; an answer; an answer that was copied; an error. */
const STATE = { idle: 0, asked: 1, answered: 2, taken: 3, failed: 4 } as const;

/**
 * A mailbox's numbers: the file, where the range begins and how long it is; where its first bytes are, and how many, or
 * `IN_FILE` and a descriptor.
 */
const REQUEST_LENGTH = 5;

const IN_FILE = -1;

/** The lines of an error are bounded, so it fits. */
const FAILURE_BYTES = 64 * 1024;

/** A range of a file. */
export interface FileRange {
  readonly fd: Descriptor;
  readonly offsetBytes: number;
  readonly byteLength: number;
}

/** What threads will read from files that have to be fetched, in about that order. */
export interface ReadAhead {
  readonly exchange: Exchange;
  readonly ranges: Iterable<FileRange>;
}

/** The end of an exchange where the bytes come from. */
export interface RemoteFeed {
  /** Fetches ahead what will be read. */
  expect(ranges: Iterable<FileRange>): void;
  /** What was expected and not read yet is expected no longer. */
  forget(): void;
  /** Ends whoever waits, with `interrupted`. */
  cancel(): void;
}

/** A read of a worker, as it lies in a mailbox. */
export interface WaitingRead {
  readonly mailbox: number;
  readonly file: number;
  readonly offsetBytes: number;
  readonly byteLength: number;
}

const feeds = new WeakMap<Exchange, RemoteFeed>();

/** An exchange by which `feed` answers, with `byteLength` bytes of shared memory; what isn't used takes none. */
export function createExchange(byteLength: number, feed: RemoteFeed): Exchange {
  const exchange = {
    control: new Int32Array(new SharedArrayBuffer(4 * (STATES_AT + MAILBOXES))),
    requests: new Float64Array(new SharedArrayBuffer(8 * REQUEST_LENGTH * MAILBOXES)),
    failure: new Uint8Array(new SharedArrayBuffer(FAILURE_BYTES)),
    data: new Uint8Array(new SharedArrayBuffer(byteLength)),
    threadId,
  };
  feeds.set(exchange, feed);
  return exchange;
}

/** Tells the feed what threads will read, and gives it; undefined where all of it is on this machine. */
export function readAhead(reads: ReadAhead | null): RemoteFeed | undefined {
  const feed = reads === null ? undefined : feeds.get(reads.exchange);
  feed?.expect(reads?.ranges ?? []);
  return feed;
}

/**
 * Fills `into`, asleep until it is there; or gives the descriptor of a local file that has all of it at the same offset.
 * Throws what fetching ended in.
 */
export function readThroughExchange(
  remote: RemoteDescriptor,
  into: Uint8Array,
  offsetBytes: number,
): number | null {
  const reading = exchangeRead(remote, into, offsetBytes);
  for (;;) {
    const { done, value } = reading.next();
    if (done) return value;
    Atomics.wait(remote.exchange.control, value, STATE.asked);
  }
}

/** As `readThroughExchange`, while the thread goes on. */
export async function receiveThroughExchange(
  remote: RemoteDescriptor,
  into: Uint8Array,
  offsetBytes: number,
): Promise<number | null> {
  const reading = exchangeRead(remote, into, offsetBytes);
  for (;;) {
    const { done, value } = reading.next();
    if (done) return value;
    const waiting = Atomics.waitAsync(remote.exchange.control, value, STATE.asked);
    if (waiting.async) await waiting.value;
  }
}

/** Mailboxes that this thread took and that no read of it uses now. */
const idleMailboxes = new WeakMap<Exchange, number[]>();

/** Yields the index of a state in `control` that has to become another before it goes on; gives as `readThroughExchange`. */
function* exchangeRead(
  { exchange, file }: RemoteDescriptor,
  into: Uint8Array,
  offsetBytes: number,
): Generator<number, number | null> {
  if (exchange.threadId === threadId) throw new Error("a thread waits for itself: read with `read` here");
  const { control, requests, data } = exchange;
  const idle = idleMailboxes.get(exchange) ?? [];
  idleMailboxes.set(exchange, idle);
  const mailbox = idle.pop() ?? takeMailbox(exchange);
  const at = mailbox * REQUEST_LENGTH;
  const state = STATES_AT + mailbox;
  const tell = (news: number) => {
    Atomics.store(control, state, news);
    wakeListener(exchange);
  };
  let local: number | null = null;
  for (let done = 0; done < into.length && local === null; ) {
    requests.set([file, offsetBytes + done, into.length - done], at);
    tell(STATE.asked);
    while (Atomics.load(control, state) === STATE.asked) yield state;
    if (Atomics.load(control, state) === STATE.failed) throw readFailure(exchange);
    const [position = 0, length = 0] = requests.subarray(at + 3, at + REQUEST_LENGTH);
    if (position === IN_FILE) local = length;
    else into.set(data.subarray(position, position + length), done);
    done += length;
    tell(STATE.taken);
  }
  idle.push(mailbox);
  return local;
}

function takeMailbox({ control }: Exchange): number {
  const mailbox = Atomics.add(control, NEXT_MAILBOX, 1);
  if (mailbox < MAILBOXES) return mailbox;
  throw new Error("more reads at once by one exchange than it has mailboxes");
}

function readFailure({ failure }: Exchange): ApplyDeltaError {
  const text = new TextDecoder().decode(failure.slice(0, failure.indexOf(0)));
  return errorFrom(JSON.parse(text) as ErrorData);
}

/** Calls `look` now and whenever a thread has put something into its mailbox, until `isOver`. */
export async function listen(exchange: Exchange, look: () => void, isOver: () => boolean): Promise<void> {
  const { control } = exchange;
  while (!isOver()) {
    const rung = Atomics.load(control, BELL);
    look();
    const waiting = Atomics.waitAsync(control, BELL, rung);
    if (waiting.async) await waiting.value;
  }
}

/** Wakes `listen`. */
export function wakeListener({ control }: Exchange): void {
  Atomics.add(control, BELL, 1);
  Atomics.notify(control, BELL);
}

/** Reads that aren't answered yet, those in `known` apart; `onTaken` is told, often, of answers that were copied. */
export function waitingReads(
  exchange: Exchange,
  known: { has(mailbox: number): boolean },
  onTaken: (mailbox: number) => void,
): WaitingRead[] {
  const { control, requests } = exchange;
  const reads: WaitingRead[] = [];
  const count = Math.min(MAILBOXES, Atomics.load(control, NEXT_MAILBOX));
  for (let mailbox = 0; mailbox < count; mailbox++) {
    const state = Atomics.load(control, STATES_AT + mailbox);
    const isNew = state === STATE.asked && !known.has(mailbox);
    // Who asks again has copied the last answer.
    if (isNew || state === STATE.taken) onTaken(mailbox);
    if (!isNew) continue;
    const [file = 0, offsetBytes = 0, byteLength = 0] = requests.subarray(mailbox * REQUEST_LENGTH);
    reads.push({ mailbox, file, offsetBytes, byteLength });
  }
  return reads;
}

/** The first `byteLength` bytes of what was asked for are at `position`. */
export function answerRead(exchange: Exchange, mailbox: number, position: number, byteLength: number): void {
  exchange.requests.set([position, byteLength], mailbox * REQUEST_LENGTH + 3);
  reply(exchange, mailbox, STATE.answered);
}

/** All that was asked for is in the file of this descriptor. */
export function answerWithFile(exchange: Exchange, mailbox: number, fd: number): void {
  answerRead(exchange, mailbox, IN_FILE, fd);
}

export function refuseWish(exchange: Exchange, mailbox: number, reason: ApplyDeltaError): void {
  const { code, message, details } = reason;
  const { cause: _, ...plain } = details;
  exchange.failure.set(Buffer.from(`${JSON.stringify({ code, message, details: plain })}\0`));
  reply(exchange, mailbox, STATE.failed);
}

function reply({ control }: Exchange, mailbox: number, state: number): void {
  Atomics.store(control, STATES_AT + mailbox, state);
  Atomics.notify(control, STATES_AT + mailbox);
}
