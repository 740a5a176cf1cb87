/** Unpacks a blob into a directory, and prints as JSON what came of it. */
import { unpackLayer } from "../../src/layer/unpack-layer.ts";

const [blobPath = "", diffDir = ""] = process.argv.slice(2);
try {
  const { entries, skippedDevices } = await unpackLayer({ blob: blobPath, diffDir });
  process.stdout.write(JSON.stringify({ entries, skippedDevices }));
} catch (error) {
  const { code, message } = error as { code?: unknown; message?: unknown };
  process.stdout.write(JSON.stringify({ code, message }));
}
