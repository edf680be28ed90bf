/** What `apply` and `make` share: they plan or make a folder, and may send it to the Hub. */
import type { Command } from "commander";
import * as z from "zod";
import { ApplyDeltaError, isApplyDeltaError } from "../errors.js";
import { checkUpload, type TargetFormat, type UploadOptions, uploadModel } from "../index.js";
import { flag, inGroup, text } from "../options.js";
import { uploadOptions } from "../upload/options.js";
import { PROGRAM_NAME } from "../version.js";
import { addCommonOptions, addFlag, addLibraryOptions, setAction } from "./library-options.js";
import type { Palette } from "./terminal.js";
import { formatUpload, withHint } from "./upload-command.js";

const uploadFlags = z.strictObject({
  upload: z.strictObject({
    ...inGroup("Upload", {
      repository: flag(
        "--upload <owner/name>",
        "send the finished folder to this repository on the Hub",
        text(),
        {
          fastChat: ["--hub-repo-id"],
        },
      ),
    }),
    private: uploadOptions.shape.private,
    message: uploadOptions.shape.message,
  }),
});

type UploadFlags = Partial<z.input<typeof uploadFlags>["upload"]>;

interface FolderCommand<Options, Plan, Made> {
  /** The folder to make: the name of the option, and of the result's field. */
  readonly folder: keyof Options & keyof Made & string;
  readonly plan: (call: Options) => Promise<Plan>;
  readonly formatPlan: (plan: Plan, paint: Palette) => string;
  readonly make: (call: Options) => Promise<Made>;
  /** Whether the folder is there now; always, unless this says otherwise. */
  readonly isComplete?: (made: Made) => boolean;
  readonly formatMade: (made: Made, paint: Palette) => string;
}

/** Adds the options that both commands have, and sets the action. */
export function defineFolderCommand<Options extends object, Plan extends object, Made extends object>(
  command: Command,
  { folder, plan, formatPlan, make, isComplete = () => true, formatMade }: FolderCommand<Options, Plan, Made>,
): Command {
  addFlag(command, "Main", "-n, --dry-run", "print the plan, write nothing");
  addLibraryOptions(command, uploadFlags);
  setAction<UploadOptions & { upload?: UploadFlags }, { dryRun?: true; lowCpuMem?: true }>(
    command,
    [],
    async ({ upload: flags, ...given }, { dryRun, lowCpuMem }) => {
      const call = given as unknown as Options;
      const { hub, reporter, signal } = given;
      if (lowCpuMem) reporter.note("--low-cpu-mem changes nothing: memory use is always low.");
      const upload = flags === undefined ? null : { ...requireRepository(flags), hub, reporter, signal };
      // What is wrong with an upload is found before there is a folder.
      const { format } = call as { readonly format?: TargetFormat };
      if (upload !== null) await checkUpload({ ...upload, target: String(call[folder]), format });
      if (dryRun) {
        if (upload !== null) reporter.note(`it would be sent to ${upload.repository} on the Hub.`);
        const planned = await plan(call);
        return { document: planned, format: (paint) => formatPlan(planned, paint), isUrgent: true };
      }
      if (upload === null) {
        const made = await make(call);
        return { document: made, format: (paint) => formatMade(made, paint) };
      }
      const made = await make(call).catch((error: unknown) => {
        if (!isApplyDeltaError(error, "target-exists")) throw error;
        throw withHint(error, `To send the folder that exists: ${sendCommand(String(call[folder]), upload)}`);
      });
      if (!isComplete(made)) return { document: made, format: (paint) => formatMade(made, paint) };
      const path = String(made[folder]);
      const uploaded = await uploadModel({ folder: path, ...upload }).catch((error: unknown) => {
        throw withHint(error, `The folder is made, and whole. To send it: ${sendCommand(path, upload)}`);
      });
      return {
        document: { ...made, upload: uploaded },
        format: (paint) => `${formatMade(made, paint)}\n${formatUpload(uploaded)}`,
      };
    },
    folder,
  );
  return addCommonOptions(command);
}

/** Errors: `bad-usage`. */
function requireRepository({ repository, ...rest }: UploadFlags): UploadFlags & { repository: string } {
  if (repository !== undefined) return { ...rest, repository };
  throw new ApplyDeltaError("bad-usage", `--${Object.keys(rest)[0]} needs --upload.`, {
    hint: "Add --upload owner/name.",
  });
}

/** The command that sends a folder that is made, as a shell takes it. */
function sendCommand(folder: string, { repository, private: isPrivate, message }: UploadOptions): string {
  const words = [PROGRAM_NAME, "upload", folder, repository];
  if (isPrivate) words.push("--private");
  if (message !== undefined) words.push("--message", message);
  return words
    .map((word) => (/^[\w./:@=-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`))
    .join(" ");
}
