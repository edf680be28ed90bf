/** The room of the window: bounded, given back when it was read, never taken from a reader. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { JoinedRequest } from "../../src/hub/ranges.js";
import { type RemotePiece, SLOT_BYTES, SLOTS, WindowPieces } from "../../src/hub/window-pieces.js";

const request = (first: number, slots = 1): JoinedRequest => {
  const [start, end] = [first * SLOT_BYTES, (first + slots) * SLOT_BYTES];
  return { file: 0, start, end, wanted: [[start, end]] };
};

function begin(pieces: WindowPieces, first: number, isAhead: boolean, slots = 1): RemotePiece[] {
  return pieces.begin(request(first, slots), isAhead) ?? assert.fail("no room");
}

const fill = (begun: readonly RemotePiece[]) => {
  for (const piece of begun) piece.filledTo = piece.end;
};

test("a request is cut into slots, each in a place of its own", () => {
  const pieces = new WindowPieces();
  const begun = begin(pieces, 3, true, 4);
  assert.equal(new Set(begun.map(({ slot }) => slot)).size, 4);
  assert.equal(pieces.find(0, 5 * SLOT_BYTES), begun[2]);
  assert.equal(pieces.find(0, 7 * SLOT_BYTES), undefined);
  assert.equal(pieces.find(1, 5 * SLOT_BYTES), undefined);
});

test("what is fetched ahead fills a part of the slots and goes when all of it was read", () => {
  const pieces = new WindowPieces();
  let count = 0;
  while (pieces.hasRoomFor(request(count), 28 * SLOT_BYTES)) fill(begin(pieces, count++, true));
  assert.ok(count > 8 && count < SLOTS / 2, `${count} slots`);
  const piece = pieces.find(0, 0) ?? assert.fail();
  piece.users = 2;
  piece.takenBytes = SLOT_BYTES;
  pieces.release(piece);
  assert.equal(pieces.hasRoomFor(request(count), 28 * SLOT_BYTES), false, "somebody still reads it");
  pieces.release(piece);
  assert.equal(pieces.find(0, 0), undefined);
  assert.equal(pieces.hasRoomFor(request(count), 28 * SLOT_BYTES), true);
});

test("it is as wide as is asked, and small parts take no more slots than there are for them", () => {
  const room = (ahead: number, byteLength: number) => {
    const pieces = new WindowPieces();
    let count = 0;
    for (; ; count++) {
      const start = count * SLOT_BYTES;
      const small = {
        file: 0,
        start,
        end: start + byteLength,
        wanted: [[start, start + byteLength] as const],
      };
      if (!pieces.hasRoomFor(small, ahead) || pieces.begin(small, true) === null) return count;
    }
  };
  assert.equal(room(64 * SLOT_BYTES, SLOT_BYTES), 64);
  const small = room(32 * SLOT_BYTES, 10_000);
  assert.ok(small > 100 && small < SLOTS, `${small} parts`);
});

test("what nobody foresaw is kept, the least recently used goes first, and there is less room ahead", () => {
  const pieces = new WindowPieces();
  let ahead = 0;
  while (pieces.hasRoomFor(request(1000 + ahead), 64 * SLOT_BYTES)) fill(begin(pieces, 1000 + ahead++, true));
  pieces.dropAhead();
  const most = 200;
  for (let i = 0; i < most; i++) {
    fill(begin(pieces, i, false));
    assert.ok(pieces.find(0, 0), "used again and again");
  }
  const kept = Array.from({ length: most }, (_, i) => pieces.find(0, i * SLOT_BYTES)).filter(Boolean).length;
  assert.ok(kept < 64, `${kept} kept`);
  assert.equal(pieces.find(0, SLOT_BYTES), undefined);
  let aheadBesideKept = 0;
  while (pieces.hasRoomFor(request(1000 + aheadBesideKept), 64 * SLOT_BYTES))
    fill(begin(pieces, 1000 + aheadBesideKept++, true));
  assert.ok(aheadBesideKept < ahead, `${aheadBesideKept} of ${ahead}`);
});

test("where every slot is in use there is no room, and none is taken away", () => {
  const pieces = new WindowPieces();
  const begun = Array.from({ length: SLOTS }, (_, i) => begin(pieces, i, true)).flat();
  for (const piece of begun) piece.users = 1;
  assert.equal(pieces.begin(request(SLOTS), true), null, "none has arrived");
  fill(begun);
  assert.equal(pieces.begin(request(SLOTS), true), null, "all are read");
  const [first] = begun;
  if (first !== undefined) pieces.release(first);
  assert.ok(pieces.begin(request(SLOTS), true), "one was expected and is not read");
});
