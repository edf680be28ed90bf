/** A process of `run.ts`: imports each file of tests that it is sent, and ends it with a test that says so. */
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { END_OF_FILE } from "./report-file.js";
import "./without-fsync.js";

process.on("message", async (path: string) => {
  await import(pathToFileURL(path).href).catch((error: unknown) => {
    test(path, () => Promise.reject(error));
  });
  // Tests run in the order they are made in, so this one is the last.
  test(END_OF_FILE, { timeout: 2 ** 31 - 1 }, () => {});
});
