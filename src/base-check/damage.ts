/**
 * Bytes that can't be weights, found while a file is read anyway: runs of zeros, as downloaders leave them that allocate
 * a file before they fill it, and text, as an error page is that a proxy sent in a file's place.
 *
 * Looks at 64 bytes in every 512, so a stretch of 2.5 KiB is seen wherever it lies, at a hundredth of the cost of an
 * addition. Random weights have 64 bytes of ASCII in one of 10^24 places.
 */

/** Distance of the places that are looked at, in bytes. */
export const STRIDE_BYTES = 512;

const PROBE_BYTES = 64;

const PLACES_IN_A_RUN = 4;

/** Shorter runs of zeros, in bytes, are never reported. */
export const SHORTEST_RUN_BYTES = PLACES_IN_A_RUN * STRIDE_BYTES;

/** What the places in a stretch of bytes hold. Offsets are in bytes from its beginning. */
export interface Damage {
  readonly places: number;
  /** Places that are zero, runs of zeros apart: where there are many, the tensor is sparse, and a run proves nothing. */
  readonly scatteredZeros: number;
  /** Runs of zeros from the place where each begins to the place after it. */
  readonly zeroRuns: readonly { readonly start: number; readonly end: number }[];
  /** Where the first text stands; null where there is none. */
  readonly firstText: number | null;
  /** Places that hold text. */
  readonly textPlaces: number;
}

/** Looks at `byteLength` bytes of the memory from `at` on, which is a multiple of 4. */
export function findDamage(memory: Uint8Array, at: number, byteLength: number): Damage {
  const places = Math.floor((byteLength - PROBE_BYTES) / STRIDE_BYTES) + 1;
  const words = new Uint32Array(memory.buffer, memory.byteOffset + at, Math.floor(byteLength / 4));
  const zeroRuns: { start: number; end: number }[] = [];
  let scatteredZeros = 0;
  let textPlaces = 0;
  let firstText: number | null = null;
  let run = 0;
  const endRun = (place: number) => {
    if (run >= PLACES_IN_A_RUN)
      zeroRuns.push({ start: (place - run) * STRIDE_BYTES, end: place * STRIDE_BYTES });
    else scatteredZeros += run;
    run = 0;
  };
  for (let place = 0; place < places; place++) {
    const word = (place * STRIDE_BYTES) / 4;
    const first = words[word] as number;
    if (first === 0 && isZero(words, word)) {
      run++;
      continue;
    }
    if (run > 0) endRun(place);
    // Most places are decided by one bit of their first four bytes.
    if ((first & 0x80808080) !== 0 || !isText(memory, at + place * STRIDE_BYTES)) continue;
    textPlaces++;
    firstText ??= place * STRIDE_BYTES;
  }
  endRun(Math.max(0, places));
  return { places: Math.max(0, places), scatteredZeros, zeroRuns, firstText, textPlaces };
}

function isZero(words: Uint32Array, start: number): boolean {
  for (let i = start; i < start + PROBE_BYTES / 4; i++) if (words[i] !== 0) return false;
  return true;
}

/** Printable ASCII and white space. */
function isText(memory: Uint8Array, start: number): boolean {
  for (let i = start; i < start + PROBE_BYTES; i++) {
    const byte = memory[i] as number;
    if (byte > 0x7e || (byte < 0x20 && (byte < 0x09 || byte > 0x0d))) return false;
  }
  return true;
}
