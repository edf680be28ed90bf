/** Downloads one model, as every command does before it reads weights on the Hub: for hub.ts. */
import { withSmallHeap } from "../src/cli/small-heap.js";
import { fetchModels } from "../src/hub/fetch-models.js";
import { completeHubSettings } from "../src/hub/settings.js";
import { silentReporter } from "../src/progress.js";

const [endpoint = "", repository = ""] = process.argv.slice(2);
const settings = completeHubSettings({ endpoint, cacheFolder: "hub", tokenFile: null });
const options = { settings, reporter: silentReporter, weights: "first" as const, otherNeeds: () => [] };
const model = { repository, revision: "main", reference: repository };
await withSmallHeap(async () => void (await fetchModels([model], options)));
