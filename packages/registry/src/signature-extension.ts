/**
 * Signatures that a registry keeps itself, as OpenShift's does.
 *
 * @see https://github.com/openshift/image-registry/blob/v4.1.0/pkg/dockerregistry/server/signaturedispatcher.go
 * @module
 */
import { type Digest, hasErrorCode, type JsonValue, parseJsonDocument } from "@stowage/content";

import { readBody } from "./read-body.ts";
import type { RegistryConnection } from "./registry-connection.ts";
import { responseError } from "./response-error.ts";
import {
  protocolError,
  type TransportOptions,
  type TransportRequest,
  type TransportResponse,
} from "./transport.ts";

// 128 signatures of 16 MiB together, in base64.
const MAX_BYTES = 24 * 1024 * 1024;
const ANNOUNCEMENT = "x-registry-supports-signatures";

/** The files of signatures of a manifest; `undefined` if the registry keeps none of any. */
export async function fetchSignatureFiles(
  connection: RegistryConnection,
  manifest: Digest,
  { signal }: TransportOptions,
): Promise<readonly Uint8Array[] | undefined> {
  const { path } = connection.repository;
  const greeting = await connection.greeting(signal);
  if (greeting[ANNOUNCEMENT] !== "1") return undefined;
  // Beside the API, not below it.
  const extension = `../extensions/v2/${path}/signatures/${manifest}`;
  const request = await connection.rootRequest(extension, signal);
  const response = await connection.send(request, { signal });
  if (response.status !== 200) throw await responseError(request, response, { signal });
  return filesOf(request, response, await readBody(request, response, MAX_BYTES));
}

function filesOf(
  request: TransportRequest,
  response: TransportResponse,
  bytes: Uint8Array,
): readonly Uint8Array[] {
  const { signatures = [] } = readJson(request, response, bytes);
  if (signatures === null) return [];
  if (!Array.isArray(signatures)) throw protocolError(request, response, "a list of no signatures");
  return (signatures as readonly JsonValue[]).flatMap((entry) => {
    const { schemaVersion, type, content } = (entry ?? {}) as Readonly<Record<string, unknown>>;
    // Of other versions and types nothing is known, and nothing need be.
    if (schemaVersion !== 2 || type !== "atomic") return [];
    if (typeof content !== "string" || !/^[A-Za-z0-9+/]*={0,2}$/.test(content)) {
      throw protocolError(request, response, "a signature that is not base64");
    }
    return [Buffer.from(content, "base64")];
  });
}

function readJson(
  request: TransportRequest,
  response: TransportResponse,
  bytes: Uint8Array,
): Readonly<Record<string, JsonValue>> {
  try {
    const json = parseJsonDocument(bytes, { maxBytes: MAX_BYTES });
    if (typeof json === "object" && json !== null && !Array.isArray(json)) {
      return json as Readonly<Record<string, JsonValue>>;
    }
  } catch (error) {
    if (!hasErrorCode(error, "ERR_CONTENT_INVALID_JSON", "ERR_CONTENT_DUPLICATE_KEY")) throw error;
  }
  throw protocolError(request, response, "a list of signatures that is no JSON object");
}
