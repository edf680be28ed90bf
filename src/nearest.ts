/** What was meant by a name that leads nowhere. */

/** So many letters of a name may be wrong: one in three, and two at most. */
const lettersWrong = (name: string) => Math.min(2, Math.floor(name.length / 3));

/** The one of `names` that `name` is nearly; null where none is near, or where it is one of them. */
export function nearestName(name: string, names: Iterable<string>): string | null {
  let nearest: string | null = null;
  let least = lettersWrong(name);
  for (const candidate of names) {
    if (candidate === name) return null;
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance > least || (distance === least && nearest !== null)) continue;
    nearest = candidate;
    least = distance;
  }
  return nearest;
}

/** How many letters are to be changed, left out, put in, or exchanged with their neighbour (Damerau and Levenshtein). */
function editDistance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > lettersWrong(a)) return Number.POSITIVE_INFINITY;
  let [before, last]: [number[], number[]] = [[], Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const isSame = a[i - 1] === b[j - 1];
      const at = (cells: readonly number[], column: number) => cells[column] ?? Number.POSITIVE_INFINITY;
      const isExchange = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      row.push(
        Math.min(
          at(last, j) + 1,
          at(row, j - 1) + 1,
          at(last, j - 1) + (isSame ? 0 : 1),
          isExchange ? at(before, j - 2) + 1 : Number.POSITIVE_INFINITY,
        ),
      );
    }
    [before, last] = [last, row];
  }
  return last[b.length] ?? Number.POSITIVE_INFINITY;
}
