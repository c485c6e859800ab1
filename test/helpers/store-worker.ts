// A process that works in an image store, to be killed at any moment. Bundled and started by tests.
// Usage: node store-worker.mjs ROOT OPERATION [ARGUMENT]
import { loadImages } from "../../cli/image/sources/load.ts";
import { openStore } from "../../cli/image/store.ts";
import { unpackImage } from "../../cli/image/unpack.ts";

const [root = "", operation = "", argument = ""] = process.argv.slice(2);
const store = await openStore(root);
process.stdout.write("open\n");
switch (operation) {
  case "load":
    await loadImages({ store, input: argument });
    break;
  case "unpack": {
    const { descriptor } = await store.resolve(argument);
    const { manifest, config } = await store.readImage(descriptor, argument);
    await unpackImage({ store, name: argument, manifest, config, ids: { kind: "single" } });
    await store.settleLayers();
    break;
  }
  case "remove":
    await store.removeReferences(() => true);
    await store.prune({ waitMs: 60_000 });
    break;
  case "hold": // a running sandbox, until it is killed
    if ((await store.lease([argument as never])) === null) throw new Error("no lease");
    process.stdout.write("held\n");
    setInterval(() => undefined, 1_000_000);
    await new Promise(() => undefined);
    break;
  default:
    throw new Error(`unknown operation ${operation}`);
}
await store.close();
