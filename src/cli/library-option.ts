import { type Command, Option } from "commander";

/** An option that commander stores by its path in the library's options: `rules.newRows`. */
export class LibraryOption extends Option {
  constructor(
    readonly path: string,
    flags: string,
    help: string,
    /** Whether the call fails without it. Groups are optional. */
    readonly isNeeded: boolean,
    /** What other tools call it. */
    readonly elsewhere: readonly string[] = [],
  ) {
    super(flags, help);
  }

  override attributeName(): string {
    return this.path;
  }
}

export const libraryOptionsOf = (command: Command) =>
  command.options.filter((option) => option instanceof LibraryOption);

/** The options that a call fails without. */
export function neededOptions(command: Command): LibraryOption[] {
  return libraryOptionsOf(command).filter(({ isNeeded }) => isNeeded);
}
