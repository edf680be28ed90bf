/** `vicuna-apply-delta finish --target …`: completes a target whose parts are made. */
import type { Command } from "commander";
import { finishOptions } from "../apply/options.js";
import { type FinishPartsOptions, finishParts } from "../index.js";
import { formatPart } from "./apply-command.js";
import { setHelpPage } from "./help.js";
import { addCommonOptions, addLibraryOptions, setAction } from "./library-options.js";

export function defineCommand(command: Command): void {
  setHelpPage(command, { examples: ["vicuna-apply-delta finish -o vicuna-13b"] });
  addCommonOptions(addLibraryOptions(command, finishOptions, ["hub.stream"]));
  setAction<FinishPartsOptions>(command, [], async (call) => {
    const summary = await finishParts(call);
    return { document: summary, format: (paint) => formatPart(summary, paint) };
  });
}
