/** `vicuna-apply-delta verify <target>`: whether a model is whole and is what it should be. */
import type { Command } from "commander";
import { ApplyDeltaError, EXIT } from "../errors.js";
import { type Verification, type VerifyOptions, verifyTarget } from "../index.js";
import { printable } from "../printable.js";
import { verifyOptions } from "../verify/options.js";
import { type HelpPage, setHelpPage } from "./help.js";
import { addCommonOptions, addLibraryOptions, setAction } from "./library-options.js";
import { type Palette, PLAIN } from "./terminal.js";

const PAGE: HelpPage = {
  examples: [
    "vicuna-apply-delta verify vicuna-7b",
    "vicuna-apply-delta verify vicuna-7b --base llama-7b --delta vicuna-7b-delta-v1.1",
  ],
  notes: `What you don't say of how the target was made is read from its vicuna-apply-delta.json.

Exit codes are those of vicuna-apply-delta: ${EXIT.verification} if a check fails.`,
};

export function defineCommand(command: Command): void {
  setHelpPage(command, PAGE);
  addLibraryOptions(command, verifyOptions, ["kernel", "hub.stream"]);
  addCommonOptions(command);
  setAction<VerifyOptions>(command, ["target"], async (call) => {
    const sides = Object.keys(call.sources ?? {});
    if (sides.length === 1) {
      throw new ApplyDeltaError("bad-usage", "The sum needs both sides: --base and --delta.", {
        got: `--${sides.join()} alone`,
        hint: "Give both, or neither to check the target by itself.",
      });
    }
    const verification = await verifyTarget(call);
    const isFailed = verification.verdict === "failed";
    return {
      document: verification,
      format: (paint) => formatVerification(verification, paint),
      exitCode: isFailed ? EXIT.verification : EXIT.done,
      isUrgent: isFailed,
    };
  });
}

const UNPROVEN =
  "no fault found, but the weights' bytes were not checked: give --base and --delta, or make the target with --checksums";

/** A line a check, then the verdict. It claims no more than was looked at. */
export function formatVerification(verification: Verification, paint: Palette = PLAIN): string {
  const { target, verdict, checks, weightsProven, notes } = verification;
  const failed = checks.filter(({ status }) => status === "failed").map(({ name }) => name);
  const lines = checks.map(({ name, status, detail }) => {
    const word = status === "failed" ? paint.bad("FAILED".padEnd(7)) : status.padEnd(7);
    return `  ${name.padEnd(9)}  ${word}  ${printable(detail)}`;
  });
  const passed = weightsProven ? paint.good("verified") : UNPROVEN;
  return [
    paint.strong(printable(target)),
    ...lines,
    ...notes.map((note) => printable(`  note: ${note}`)),
    verdict === "failed" ? `${paint.bad("verification FAILED:")} ${failed.join(", ")}` : passed,
  ].join("\n");
}
