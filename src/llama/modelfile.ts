/**
 * An Ollama Modelfile: the prompt the model was trained with, where its answer ends, and how long a talk may be.
 * https://github.com/ollama/ollama/blob/main/docs/modelfile.md
 */
import { PROMPTS, type PromptStyle } from "./prompt-templates.js";

/** `gguf`: the name of the file beside it; `contextTokens`: those the model was made for. */
export function modelfile(gguf: string, style: PromptStyle, contextTokens: number): string {
  const { system, stop } = PROMPTS[style];
  const lines = [
    `FROM ./${gguf}`,
    `TEMPLATE """${ollamaTemplate(style)}"""`,
    `SYSTEM """${system}"""`,
    `PARAMETER num_ctx ${contextTokens}`,
    ...stop.map((word) => `PARAMETER stop "${word}"`),
  ];
  return `${lines.join("\n")}\n`;
}

/**
 * In the language of Go's text/template. Ollama adds bos itself, and gives the last of the model's messages without an
 * end where it is to go on with it.
 */
function ollamaTemplate(style: PromptStyle): string {
  const { afterSystem, user, assistant, hasEnd } = PROMPTS[style];
  const end = hasEnd ? "{{ if gt (len (slice $.Messages $i)) 1 }}</s>{{ end }}" : "";
  return [
    `{{ if .System }}{{ .System }}${afterSystem}{{ end }}`,
    "{{ range $i, $message := .Messages }}",
    `{{ if eq .Role "user" }}${user}{{ .Content }}${assistant}`,
    `{{ else if eq .Role "assistant" }} {{ .Content }}${end}{{ end }}`,
    "{{ end }}",
  ].join("");
}
