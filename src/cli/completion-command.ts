/** `vicuna-apply-delta completion <shell>`: what a shell needs to complete the command line. */
import { Argument, type Command } from "commander";
import type { CommandDefinition } from "./definition.js";
import { print } from "./run-command.js";

type Shell = "bash" | "zsh" | "fish";

const WRITERS: Readonly<Record<Shell, () => Promise<(program: CommandDefinition) => string>>> = {
  bash: async () => (await import("./bash-completion.js")).bashCompletion,
  zsh: async () => (await import("./zsh-completion.js")).zshCompletion,
  fish: async () => (await import("./fish-completion.js")).fishCompletion,
};

const EXAMPLES = `
Examples:
  $ eval "$(vicuna-apply-delta completion bash)"   # in ~/.bashrc
  $ source <(vicuna-apply-delta completion zsh)    # in ~/.zshrc, below compinit
  $ vicuna-apply-delta completion fish > ~/.config/fish/completions/vicuna-apply-delta.fish`;

export function addCompletionCommand(program: Command): void {
  program
    .command("completion")
    .addArgument(new Argument("<shell>", "the shell").choices(Object.keys(WRITERS)))
    .description("prints what a shell needs to complete options, their values and commands")
    .helpOption("--help", "print this help")
    .addHelpText("after", EXAMPLES)
    .action(async (shell: Shell) => {
      const { defineCommand } = await import("./definition.js");
      const write = await WRITERS[shell]();
      print(write(defineCommand(program)).trimEnd());
    });
}
