import { createRequire } from "node:module";
import { join } from "node:path";

import type { Plugin } from "rolldown";

// All that is imported from it; a name that is missing here fails the joining.
const PART = `
import request from "undici/lib/api/api-request.js";
import Dispatcher from "undici/lib/dispatcher/dispatcher.js";
Object.assign(Dispatcher.prototype, { request });
export { default as buildConnector } from "undici/lib/core/connect.js";
export { default as Client } from "undici/lib/dispatcher/client.js";
export { default as Pool } from "undici/lib/dispatcher/pool.js";
`;
const PART_ID = "\0http-client-part";

/**
 * Takes of the HTTP client what stands behind the classes that are used: its index would bring `fetch`,
 * WebSockets, caches and mocks along, which is half a megabyte to read at every pull.
 */
export function httpClientPart(packages: string): Plugin {
  const { resolve } = createRequire(join(packages, "registry/package.json"));
  return {
    name: "http-client-part",
    resolveId(source, importer) {
      if (source === "undici") return PART_ID;
      return importer === PART_ID ? resolve(source) : null;
    },
    load: (id) => (id === PART_ID ? PART : null),
  };
}
