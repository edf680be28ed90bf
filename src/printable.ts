/** Text that may quote a file of unknown origin, made safe for a terminal: no cursor moves, no paint, no flood. */

/** A line longer than this is a name or a value made to flood the terminal. */
const MAX_LINE = 2_000;

/** The text, cut off if it is too long. */
export function bounded(text: string, most = MAX_LINE): string {
  return text.length > most ? `${text.slice(0, most)}…` : text;
}

/** One line without control characters: a tensor's name comes from a file and could hold escape sequences. */
export function printable(line: string): string {
  return escapeControls(bounded(line)).replaceAll("\n", "\\u000a");
}

/** Any text with its control characters escaped, but for line ends; JSON stays the same JSON. */
export function escapeControls(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu, (char) =>
    char === "\n" ? char : `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
