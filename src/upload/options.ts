import * as z from "zod";
import { hubOption } from "../merge/options.js";
import { flag, inGroup, text, toggle, type WorkOptions } from "../options.js";

const repositoryOptions = z.strictObject({
  /** `owner/name` on the Hub; created if it doesn't exist. */
  repository: text(),
  /** Make the repository private, and refuse one that is public; default: a new one is as its owner's settings say. */
  private: toggle("--private", "make the repository private"),
  /** The commit's message; default `Upload`, the folder's name and this program's. */
  message: flag("--message <text>", "commit with this message", text()).optional(),
  /** Replace the model files that the repository holds; its history keeps them. Default false. */
  overwrite: toggle("--overwrite", "replace the model in the repository"),
  ...hubOption,
});

inGroup("Upload", repositoryOptions.shape);

export const checkUploadOptions = repositoryOptions.extend({
  /** What will be made: a folder, or a GGUF, which may stand beside other models. Default: a folder. */
  target: text().optional(),
  /** As in `applyDelta`: with `gguf` the folder holds one. */
  format: z.enum(["safetensors", "bin", "gguf"]).optional(),
});

export const uploadOptions = repositoryOptions.extend({
  /** The model's folder, or a GGUF. */
  folder: text(),
  ...inGroup("Upload", {
    /** The branch to commit to, which must exist; default `main`. */
    revision: flag("--revision <branch>", "commit to this branch (default: main)", text()).optional(),
    /** Open a pull request, for the repository's owner to accept, instead of committing to the branch. Default false. */
    createPr: toggle("--create-pr", "open a pull request instead of committing"),
  }),
});

export type CheckUploadOptions = z.input<typeof checkUploadOptions> & WorkOptions;

export type UploadOptions = z.input<typeof repositoryOptions> &
  Pick<z.input<typeof uploadOptions>, "revision" | "createPr"> &
  WorkOptions;
