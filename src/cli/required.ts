/** In: a command whose options were read. Out: nothing, or the usage error that names the models not given. */
import type { Command } from "commander";

/** Checked here, not by commander: it would call `--bas x` a missing --base before it sees the unknown option. */
export function requireModels(command: Command): void {
  const missing = command.options.filter(
    (option) =>
      ["base", "delta", "target"].includes(option.attributeName()) &&
      command.getOptionValue(option.attributeName()) === undefined,
  );
  if (missing.length === 0) return;
  command.error(
    `error: missing ${new Intl.ListFormat("en-GB").format(missing.map(({ long }) => long ?? ""))}`,
  );
}
