/**
 * Asserts on failures: the code, where the error says it is, and that it says what to do next. An error without a
 * file, tensor or offset that could have named it is a failure of the test.
 */
import assert from "node:assert/strict";
import { ApplyDeltaError, type ErrorCode, type ErrorDetails } from "../../src/errors.js";

/** A value, or a pattern the value as text must match; `undefined` means that the detail must be absent. */
export type ExpectedDetails = {
  readonly [Key in Exclude<keyof ErrorDetails, "cause">]?: string | number | RegExp | undefined;
} & { readonly message?: RegExp };

/** The error that `action` fails with, after checking it. */
export async function refusal(
  action: () => unknown,
  code: ErrorCode,
  expected: ExpectedDetails = {},
): Promise<ApplyDeltaError> {
  const error = await failureOf(action);
  assert.ok(error instanceof ApplyDeltaError, `not a typed error: ${String(error)}`);
  assert.equal(error.code, code, error.format());
  assert.ok(error.details.hint, `no hint: ${error.format()}`);
  const found: Record<string, unknown> = { ...error.details, message: error.message };
  for (const [key, value] of Object.entries(expected)) {
    if (value instanceof RegExp) assert.match(String(found[key]), value, key);
    else assert.equal(found[key], value, key);
  }
  return error;
}

async function failureOf(action: () => unknown): Promise<unknown> {
  try {
    await action();
  } catch (error) {
    return error;
  }
  return assert.fail("nothing was refused");
}
