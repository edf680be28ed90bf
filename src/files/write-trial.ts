/** So many segments are written either way before one is chosen. */
const TRIAL_SEGMENTS = 16;

/** Memory takes the first writes faster than the later ones, so only a clear lead counts. */
const CLEAR_LEAD = 2;

/**
 * Whether to write past the page cache where nobody waits for the disk at the end. Past it the disk sets the pace,
 * through it memory does, which is slower where the disk is fast and the memory a virtual machine's; so both are tried
 * in turn, and memory is taken where it is clearly faster. One for each thread.
 */
export class WriteTrial {
  #segments = 0;
  #startMs = 0;
  #directMs = 0;
  #cachedMs = 0;

  /** The way of the next segment. `nowMs`: of a clock that never goes back. */
  isDirect(nowMs: number): boolean {
    const number = this.#segments++;
    if (number === 0) this.#startMs = nowMs;
    if (number === TRIAL_SEGMENTS) this.#directMs = nowMs - this.#startMs;
    if (number === 2 * TRIAL_SEGMENTS) this.#cachedMs = nowMs - this.#startMs - this.#directMs;
    if (number < 2 * TRIAL_SEGMENTS) return number < TRIAL_SEGMENTS;
    return this.#directMs <= CLEAR_LEAD * this.#cachedMs;
  }
}
