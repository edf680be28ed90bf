/** The options of every command. */
import type { Command } from "commander";

export interface CommonOptions {
  json?: true | undefined;
  quiet?: true;
  verbose?: true;
  progress?: boolean;
}

/** Adds them, last. `quiet`: what --quiet does, or null where there is none. */
export function addCommonOptions(
  command: Command,
  quiet: string | null = "print errors and warnings only",
): Command {
  command.option("--json", "print one JSON document on stdout").option("--no-progress", "show no progress");
  if (quiet !== null) command.option("--quiet", quiet);
  return command
    .option("--verbose", "print details, and stack traces of errors")
    .helpOption("--help", "print this help");
}
