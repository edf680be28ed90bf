/** Numbers as people read them. Units are decimal, as disks and downloads are sold. */

/** The sum of a number of each item. */
export function sumOf<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((sum, item) => sum + of(item), 0);
}

/** `12.9 GB`, `512 B`. */
export function formatBytes(byteLength: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = byteLength;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)} ${units[unit]}`;
}

/** `0.8 s`, `42 s`, `3 min 05 s`. */
export function formatSeconds(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 99.5) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(Math.round(seconds) / 60);
  return `${minutes} min ${String(Math.round(seconds) % 60).padStart(2, "0")} s`;
}

/** `6.74 billion`, `93,824`. */
export function formatCount(count: number): string {
  if (count >= 999.95e6) return `${(count / 1e9).toFixed(2)} billion`;
  if (count >= 1e6) return `${(count / 1e6).toFixed(1)} million`;
  return formatExact(count);
}

/** `6,738,415,616`: every digit, where the number is a proof. */
export function formatExact(count: number): string {
  // Intl takes 8 ms to load.
  return String(count).replace(/\B(?=(?:\d{3})+$)/g, ",");
}

/** `1 tensor`, `3 tensors`. */
export function plural(count: number, noun: string): string {
  return `${formatExact(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** The first of a list, and how many more there are: `a, b, and 3 more`. */
export function listed(texts: readonly string[], most = 10, separator = ", "): string {
  const rest = texts.length - most;
  const shown = texts.slice(0, most).join(separator);
  return rest > 0 ? `${shown}${separator}and ${formatExact(rest)} more` : shown;
}

/** The first names of a list, and a mark where there are more: `a, b, …`. */
export function firstFew(names: readonly string[], most = 5): string {
  return names.slice(0, most).join(", ") + (names.length > most ? ", …" : "");
}
