/** Numbers for cases that can be made again: a case is its target, the run's seed and its number, and nothing else. */

/** An integer from 0 to `below` - 1. */
export type Random = (below: number) => number;

/** xorshift32 from a seed that is mixed from all parts (FNV-1a). */
export function randomFrom(...parts: readonly (string | number)[]): Random {
  let state = 0x811c9dc5;
  for (const char of parts.join("/")) state = Math.imul(state ^ (char.codePointAt(0) ?? 0), 0x01000193);
  state = state === 0 ? 1 : state;
  const next = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
  // The first numbers of near seeds are near.
  for (let i = 0; i < 4; i++) next();
  return (below) => (below === 0 ? 0 : next() % below);
}

export function pick<T>(random: Random, items: readonly T[]): T {
  return items[random(items.length)] as T;
}
