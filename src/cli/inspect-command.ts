/** `vicuna-apply-delta inspect <model>`: what a checkpoint holds, and what a delta changes. */
import { writeFileSync } from "node:fs";
import type { Command } from "commander";
import { ApplyDeltaError } from "../errors.js";
import { type InspectOptions, inspectModel } from "../index.js";
import { inspectOptions } from "../inspect/options.js";
import { onSide } from "../system-errors.js";
import { setHelpPage } from "./help.js";
import { formatInspection } from "./inspect-text.js";
import { renderLayerPlot } from "./layer-plot.js";
import { addCommonOptions, addFlag, addLibraryOptions, setAction } from "./library-options.js";
import { parsePath } from "./values.js";

const EXAMPLES = [
  "vicuna-apply-delta inspect vicuna-7b-delta-v1.1",
  "vicuna-apply-delta inspect lmsys/vicuna-7b-delta-v1.1 --base huggyllama/llama-7b --stream",
];

export function defineCommand(command: Command): void {
  setHelpPage(command, { examples: EXAMPLES });
  addLibraryOptions(command, inspectOptions);
  addFlag(
    command,
    "Main",
    "--plot <file>",
    "with --base: draw the change of each layer as an SVG file",
    parsePath,
  );
  addCommonOptions(command, null);
  setAction<InspectOptions, { plot?: string }>(command, ["model"], async (call, { plot }) => {
    if (plot !== undefined && call.base === undefined) {
      throw new ApplyDeltaError("bad-usage", "--plot needs a --base to measure the change against.", {
        hint: "Add --base with the model the delta was made for.",
      });
    }
    const document = await inspectModel(call);
    const { change } = document;
    // What is there is replaced: the user named this very file.
    if (plot !== undefined && change !== null)
      onSide("target")(plot, () => writeFileSync(plot, renderLayerPlot(change)));
    return { document, format: (paint) => formatInspection(document, paint) };
  });
}
