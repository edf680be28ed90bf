/** The entry of a worker thread: runs its share of a job and reports how it ended. */
import { parentPort, workerData } from "node:worker_threads";
import { doShare, type WorkerJob } from "./share.js";

// A read that waits for another thread keeps no thread alive by itself.
parentPort?.ref();
parentPort?.postMessage(await doShare(workerData as WorkerJob));
parentPort?.unref();
