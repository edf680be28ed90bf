/**
 * The voices that write to a stream: a progress bar (cli-progress) where the stream is a terminal, a line every
 * few seconds where it isn't or can't move its cursor, so that a CI log stays readable.
 */
import { createRequire } from "node:module";
import type { SingleBar } from "cli-progress";
import { printable } from "../printable.js";
import type { ProgressUpdate, Reporter } from "../progress.js";
import { formatBytes, formatSeconds } from "../units.js";
import { canRedraw, paletteFor, type TerminalVariables, widthOf } from "./terminal.js";
import { wrapLine } from "./wrap.js";

export interface StreamReporterOptions {
  readonly stream: NodeJS.WriteStream;
  readonly level: "quiet" | "normal" | "verbose";
  readonly showProgress: boolean;
  /** Once it is aborted no progress is shown any more. */
  readonly signal?: AbortSignal;
  readonly variables: TerminalVariables;
}

/** Before the further lines of a note. */
const NOTE_INDENT = 2;

/** Without a terminal, one line in this time. */
const LINE_INTERVAL_MS = 5_000;

/** Quiet keeps warnings: a warning that nobody sees is none. */
export function createStreamReporter(options: StreamReporterOptions): Reporter {
  const { stream, level, showProgress, signal, variables } = options;
  const paint = paletteFor(stream, variables);
  // Notes and warnings quote names from files.
  const write = (text: string, label = "") =>
    void stream.write(`${wrapLine(label + printable(text), widthOf(stream), NOTE_INDENT)}\n`);
  const line = (text: string, label = "") =>
    progress === null ? write(text, label) : progress.between(() => write(text, label));
  const wanted = showProgress && level !== "quiet";
  const progress = wanted
    ? perActivity(() => (canRedraw(stream, variables) ? progressBar(stream) : progressLines(write)), signal)
    : null;
  return {
    detail: (text) => (level === "verbose" ? line(text) : undefined),
    note: (text) => (level === "quiet" ? undefined : line(text)),
    warn: (text) => line(text, `${paint.warning("warning:")} `),
    progress: (update) => progress?.update(update),
    progressDone: () => progress?.done(),
  };
}

interface ProgressView {
  update(update: ProgressUpdate): void;
  /** Writes a line where one may be written. */
  between(write: () => void): void;
  done(): void;
}

/**
 * A view for each activity, so that each has its own speed. One that is done stays so, and none begins after an
 * interruption: updates may still be on their way.
 */
function perActivity(create: () => ProgressView, signal: AbortSignal | undefined): ProgressView {
  let current: { readonly activity: string; readonly view: ProgressView; isDone: boolean } | undefined;
  return {
    update(update) {
      if (signal?.aborted === true) return;
      const { activity } = update;
      if (current === undefined || current.activity !== activity) {
        current?.view.done();
        current = { activity, view: create(), isDone: false };
      }
      if (!current.isDone) current.view.update(update);
    },
    between(write) {
      if (current === undefined || current.isDone) write();
      else current.view.between(write);
    },
    done() {
      if (current === undefined || current.isDone) return;
      current.isDone = true;
      current.view.done();
    },
  };
}

/** Bytes per second since the first update. */
function speedometer(): (bytesDone: number) => { bytesPerSecond: number; seconds: number } {
  let start: { at: number; bytes: number } | undefined;
  return (bytesDone) => {
    start ??= { at: performance.now(), bytes: bytesDone };
    const seconds = (performance.now() - start.at) / 1000;
    return { seconds, bytesPerSecond: seconds > 0 ? (bytesDone - start.bytes) / seconds : 0 };
  };
}

function describe({ bytesDone, bytesTotal }: ProgressUpdate, bytesPerSecond: number): string {
  const speed = `${bytesPerSecond > 0 ? formatBytes(bytesPerSecond) : "-"}/s`;
  const left = bytesPerSecond > 0 ? formatSeconds((bytesTotal - bytesDone) / bytesPerSecond) : "-";
  return `${formatBytes(bytesDone)} of ${formatBytes(bytesTotal)}, ${speed}, ${left} left`;
}

/** `model-00002-of-00004.safetensors` as `shard 2/4`: the bar has to fit into 80 columns. */
function shortShard(fileName: string): string {
  const match = /-0*(\d+)-of-0*(\d+)\.(?:safetensors|bin)$/.exec(fileName);
  return match === null ? fileName : `shard ${match[1]}/${match[2]}`;
}

/** More don't fit into 80 columns. */
const MOST_FILES_IN_BAR = 2;

/** The files under way, each with its share; else what is written now. What is fetched for it goes first. */
function describeFiles(
  { current, files = [], bytesFetched = 0 }: ProgressUpdate,
  most: number,
  nameOf: (fileName: string) => string,
): string {
  if (files.length === 0) {
    const fetched = bytesFetched === 0 ? "" : `${formatBytes(bytesFetched)} fetched`;
    return [fetched, nameOf(current)].filter((text) => text !== "").join(", ");
  }
  const shown = files.slice(0, most).map(({ name, bytesDone, bytesTotal }) => {
    return `${nameOf(name)} ${Math.floor((100 * bytesDone) / Math.max(1, bytesTotal))}%`;
  });
  return shown.join(", ") + (files.length > most ? ", …" : "");
}

/** To the first column, clear to the end; and lines wrap again, which cli-progress stops for a bar (ECMA-48, DECAWM). */
const TAKE_BAR_AWAY = "\r\u001b[0K\u001b[?7h";
const STOP_WRAPPING = "\u001b[?7l";

function progressBar(stream: NodeJS.WriteStream): ProgressView {
  const measure = speedometer();
  let bar: SingleBar | undefined;
  return {
    update(update) {
      const payload = {
        text: describe(update, measure(update.bytesDone).bytesPerSecond),
        current: describeFiles(update, MOST_FILES_IN_BAR, shortShard),
      };
      if (bar === undefined) {
        // Loaded when there is something to show: most of what a run starts with needs no bar.
        const cliProgress = createRequire(import.meta.url)("cli-progress") as typeof import("cli-progress");
        bar = new cliProgress.SingleBar({
          stream,
          format: "{bar} {percentage}%  {text}  {current}",
          barsize: 16,
          barCompleteChar: "█",
          barIncompleteChar: "░",
          hideCursor: true,
          clearOnComplete: true,
          stopOnComplete: false,
          gracefulExit: false,
        });
        bar.start(update.bytesTotal, update.bytesDone, payload);
      } else {
        bar.update(update.bytesDone, payload);
      }
    },
    between(write) {
      if (bar !== undefined) stream.write(TAKE_BAR_AWAY);
      write();
      if (bar !== undefined) stream.write(STOP_WRAPPING);
    },
    done() {
      bar?.stop();
    },
  };
}

function progressLines(line: (text: string) => void): ProgressView {
  const measure = speedometer();
  let lastLineAt = 0;
  return {
    update(update) {
      const { seconds, bytesPerSecond } = measure(update.bytesDone);
      if (seconds * 1000 - lastLineAt < LINE_INTERVAL_MS) return;
      lastLineAt = seconds * 1000;
      const percent = Math.floor((100 * update.bytesDone) / Math.max(1, update.bytesTotal));
      line(`${percent}%  ${describe(update, bytesPerSecond)}  ${describeFiles(update, 8, (name) => name)}`);
    },
    between: (write) => write(),
    done() {},
  };
}
