/**
 * The room of a window: slots of shared memory, and which part of which file is in them. A slot holds one piece at a
 * time and is never taken while somebody reads it. A piece that was fetched ahead goes when it was read.
 */
import { type JoinedRequest, split, totalBytes } from "./ranges.js";

export const SLOT_BYTES = 1024 * 1024;

/** Slots for what nobody foresaw: a matrix of 7B's attention, transposed, needs 33. */
const MOST_KEPT = 36;

/** Bytes for both. */
const MOST_BYTES = 80 * SLOT_BYTES;

/** Slots take no memory until they are used, and many hold a few kB each. */
export const SLOTS = 256;

/** The others are for parts that are wanted while the window is full. */
const MOST_AHEAD_SLOTS = 192;

/** A part of a file in a slot, or on its way there. */
export interface RemotePiece {
  readonly file: number;
  readonly start: number;
  readonly end: number;
  readonly slot: number;
  /** Whether it was fetched because it was expected: then it goes when it was read. */
  readonly isAhead: boolean;
  /** The bytes before this offset are there. */
  filledTo: number;
  /** Bytes that were given out. */
  takenBytes: number;
  /** Threads that wait for it or copy from it. */
  users: number;
  isDropped: boolean;
}

export class WindowPieces {
  readonly #freeSlots = Array.from({ length: SLOTS }, (_, i) => SLOTS - 1 - i);
  /** In the order in which they were begun or, if they are kept, last used. */
  readonly #pieces = new Set<RemotePiece>();

  /** The piece that has a byte of a file or will have it. */
  find(file: number, offsetBytes: number): RemotePiece | undefined {
    const piece = [...this.#pieces].find(
      (each) => each.file === file && each.start <= offsetBytes && offsetBytes < each.end,
    );
    if (piece !== undefined && !piece.isAhead) {
      this.#pieces.delete(piece);
      this.#pieces.add(piece);
    }
    return piece;
  }

  /** Whether a request may be begun before it is needed. An empty window takes any. */
  hasRoomFor(request: JoinedRequest, mostAheadBytes: number): boolean {
    const [ahead, kept] = [this.#pieceBytes(true), this.#pieceBytes(false)];
    if (ahead === 0) return true;
    const parts = partsOf(request);
    const most = Math.min(mostAheadBytes, MOST_BYTES - kept);
    return ahead + totalBytes(parts) <= most && this.#count(true) + parts.length <= MOST_AHEAD_SLOTS;
  }

  /** Pieces for what a request brings; null where there is no slot that isn't in use. */
  begin(request: JoinedRequest, isAhead: boolean): RemotePiece[] | null {
    if (!isAhead && this.#count(false) >= MOST_KEPT) this.#dropOne((piece) => !piece.isAhead);
    const parts = partsOf(request);
    // What was expected and is never read must not take the place of what is.
    while (this.#freeSlots.length < parts.length) if (!this.#dropOne(() => true)) return null;
    return parts.map(([start, end]) => {
      const slot = this.#freeSlots.pop() as number;
      const own = { filledTo: start, takenBytes: 0, users: 0, isDropped: false };
      const piece = { file: request.file, start, end, slot, isAhead, ...own };
      this.#pieces.add(piece);
      return piece;
    });
  }

  /** One user less. */
  release(piece: RemotePiece): void {
    piece.users--;
    if (piece.isAhead && piece.users === 0 && piece.takenBytes >= piece.end - piece.start) this.#drop(piece);
  }

  /** Drops what was fetched ahead. Nobody reads it any more. */
  dropAhead(): void {
    for (const piece of this.#pieces) if (piece.isAhead) this.#drop(piece);
  }

  #count(isAhead: boolean): number {
    return [...this.#pieces].filter((piece) => piece.isAhead === isAhead).length;
  }

  #pieceBytes(isAhead: boolean): number {
    return totalBytes(
      [...this.#pieces].flatMap((piece) => (piece.isAhead === isAhead ? [[piece.start, piece.end]] : [])),
    );
  }

  #drop(piece: RemotePiece): void {
    if (piece.isDropped) return;
    piece.isDropped = true;
    this.#pieces.delete(piece);
    this.#freeSlots.push(piece.slot);
  }

  /** Drops the first that is whole and that nobody uses now; false where there is none. */
  #dropOne(isMeant: (piece: RemotePiece) => boolean): boolean {
    const isIdle = ({ users, filledTo, end }: RemotePiece) => users === 0 && filledTo >= end;
    const piece = [...this.#pieces].find((each) => isIdle(each) && isMeant(each));
    if (piece !== undefined) this.#drop(piece);
    return piece !== undefined;
  }
}

/** What is wanted, in parts that fit into a slot. */
function partsOf({ wanted }: JoinedRequest) {
  return wanted.flatMap((range) => split(range, SLOT_BYTES));
}
