/** `vicuna-apply-delta weights`: the table of releases. */
import type { Command } from "commander";
import type { CommonOptions } from "./common-options.js";
import { print, runCommand } from "./run-command.js";

export function addWeightsCommand(program: Command): void {
  program
    .command("weights")
    .description("list the releases of Vicuna, their bases and what works")
    .option("--json", "print one JSON document on stdout")
    .helpOption("--help", "print this help")
    .action((options: CommonOptions) =>
      runCommand(options, async () => {
        const { listReleases } = await import("../index.js");
        const { formatWeightsTable } = await import("./weights-text.js");
        const document = await listReleases();
        print(options.json ? JSON.stringify(document, null, 2) : formatWeightsTable(document));
      }),
    );
}
