/**
 * JSON files of a model folder. Nesting and the number of values are counted before anything is made of them, so that a
 * crafted file takes no more memory and stack than a real one.
 */
import { visit } from "jsonc-parser";
import { z } from "zod";

/** `tokenizer.json` nests about ten deep; stops a million `[`, on which a recursive reader would end. */
const MAX_DEPTH = 64;

/** The largest tokenizer.json has some 2.5 million; stops a file of nothing but `{}`, which takes gigabytes. */
const MAX_VALUES = 1 << 22;

/** As `JSON.parse`, within the limits. Throws a `SyntaxError`. */
export function parseBoundedJson(text: string): unknown {
  checkExtent(text);
  return JSON.parse(text);
}

function checkExtent(text: string): void {
  let depth = 0;
  let values = 0;
  const onValue = () => {
    if (++values > MAX_VALUES) throw new SyntaxError(`it holds more than ${MAX_VALUES} values`);
  };
  const begin = () => {
    onValue();
    if (++depth > MAX_DEPTH) throw new SyntaxError(`it is nested deeper than ${MAX_DEPTH}`);
  };
  const end = () => void depth--;
  visit(
    text,
    {
      onObjectBegin: begin,
      onObjectEnd: end,
      onArrayBegin: begin,
      onArrayEnd: end,
      onLiteralValue: onValue,
      onError: () => void JSON.parse(text), // It throws, and says better what is wrong.
    },
    { disallowComments: true },
  );
}

/** As `z.array`, which notes an issue for every wrong item, with only the first one noted. */
export function listOf<T>(item: z.ZodType<T>): z.ZodType<T[]> {
  return z.custom<T[]>().superRefine((value, context) => {
    if (Array.isArray(value)) refineEach(value.entries(), item, context);
    else context.addIssue({ code: "custom", message: "expected a list" });
  });
}

/** As `z.record`, with only the first issue noted; a key named `__proto__` is a key like any other. */
export function recordOf<T>(item: z.ZodType<T>): z.ZodType<Record<string, T>> {
  return z.custom<Record<string, T>>().superRefine((value, context) => {
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      refineEach(Object.entries(value), item, context);
    } else context.addIssue({ code: "custom", message: "expected an object" });
  });
}

function refineEach(
  entries: Iterable<[string | number, unknown]>,
  item: z.ZodType,
  context: z.RefinementCtx,
): void {
  for (const [key, value] of entries) {
    const issue = item.safeParse(value).error?.issues[0];
    if (issue === undefined) continue;
    context.addIssue({ code: "custom", message: issue.message, path: [key, ...issue.path] });
    return;
  }
}
