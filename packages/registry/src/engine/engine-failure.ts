/**
 * What goes wrong with a Docker Engine, as errors of ours.
 *
 * @module
 */
import { escapeText, type JsonValue, parseJsonDocument } from "@stowage/content";

import { RegistryError, type RegistryErrorCode } from "../registry-error.ts";
import type { EngineAddress } from "./engine-address.ts";

/** The most that is read of what an engine says, in bytes. */
export const MAX_WORDS_BYTES: number = 1024 * 1024;

const MAX_SHOWN = 1024;
const START_HINT =
  "Start the daemon, or name another with DOCKER_HOST: unix:///PATH or tcp://HOST:PORT.";
const TLS_HINT =
  "DOCKER_CERT_PATH names the folder of ca.pem, cert.pem and key.pem that the daemon goes by.";

/** A failed exchange; ours pass through. */
export function exchangeFailure(error: unknown, { shown }: EngineAddress, what: string): unknown {
  if (error instanceof RegistryError) return error;
  const code = codeOf(error);
  const [ours, problem, hint] = explain(code);
  return new RegistryError(ours, `${shown}: ${what}: ${problem}`, {
    cause: error,
    ...(hint !== undefined && { hint }),
  });
}

/** An answer that is none to what was asked. */
export function answerFailure(
  status: number,
  words: string,
  { shown }: EngineAddress,
  what: string,
): RegistryError {
  const told = words === "" ? "" : `: ${words}`;
  const message = `${shown}: ${what}: HTTP ${status}${told}`;
  return new RegistryError(codeOfStatus(status), message, { status });
}

/** What the engine said went wrong while it was at it. */
export function engineFailure(
  words: string,
  { shown }: Pick<EngineAddress, "shown">,
  what: string,
): RegistryError {
  return new RegistryError("ERR_REGISTRY_DAEMON_FAILED", `${shown}: ${what}: ${words}`, {
    hint: "The daemon says so; its own log may say more.",
  });
}

/** The words of an error that an engine answers with. */
export function wordsOf(body: Uint8Array): string {
  const document = parseObject(body);
  const { message, error } = document ?? {};
  const told = [message, error].find((text) => typeof text === "string");
  // Not every answer is an engine's.
  return escapeText((told ?? Buffer.from(body).toString("utf8", 0, MAX_SHOWN)).trim(), MAX_SHOWN);
}

/**
 * The words of an error among the messages that an engine sends while it works, one a line.
 *
 * @returns `undefined` if none of them is one.
 */
export function failureIn(messages: Uint8Array): string | undefined {
  for (const line of splitLines(messages)) {
    const { error, errorDetail } = parseObject(line) ?? {};
    const told = [fieldOf(errorDetail, "message"), error].find((one) => typeof one === "string");
    if (told !== undefined) return escapeText(told.trim(), MAX_SHOWN);
  }
  return undefined;
}

/** Whether all lines are messages of an engine. */
export function areMessages(messages: Uint8Array): boolean {
  return splitLines(messages).every((line) => parseObject(line) !== undefined);
}

function splitLines(bytes: Uint8Array): readonly Uint8Array[] {
  const lines = Buffer.from(bytes).toString("latin1").split("\n");
  return lines.map((line) => Buffer.from(line.trim(), "latin1")).filter(({ length }) => length > 0);
}

function parseObject(bytes: Uint8Array): Readonly<Record<string, JsonValue>> | undefined {
  try {
    const json = parseJsonDocument(bytes, { maxBytes: MAX_WORDS_BYTES });
    return isObject(json) ? json : undefined;
  } catch {
    return undefined;
  }
}

function isObject(
  value: JsonValue | undefined,
): value is Readonly<Record<string, JsonValue>> & JsonValue {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function fieldOf(value: JsonValue | undefined, name: string): JsonValue | undefined {
  return isObject(value) ? value[name] : undefined;
}

function codeOfStatus(status: number): RegistryErrorCode {
  if (status === 401 || status === 403) return "ERR_REGISTRY_DENIED";
  if (status === 404) return "ERR_REGISTRY_NOT_FOUND";
  if (status >= 500 && status <= 599) return "ERR_REGISTRY_DAEMON_FAILED";
  return "ERR_REGISTRY_PROTOCOL";
}

type Explanation = readonly [code: RegistryErrorCode, what: string, hint?: string];

function explain(code: string): Explanation {
  if (code === "ENOENT" || code === "ECONNREFUSED" || code === "ENOTSOCK") {
    return ["ERR_REGISTRY_UNAVAILABLE", "no Docker daemon listens there", START_HINT];
  }
  if (code === "EACCES" || code === "EPERM") {
    return [
      "ERR_REGISTRY_DENIED",
      "you may not speak to the daemon",
      "Become root, or a member of the group that the socket belongs to; whoever is may do all that root may.",
    ];
  }
  if (code === "UND_ERR_HEADERS_TIMEOUT" || code === "UND_ERR_CONNECT_TIMEOUT") {
    return ["ERR_REGISTRY_STALLED", "no answer in time"];
  }
  if (isTlsCode(code)) return ["ERR_REGISTRY_TLS", `TLS failed (${code})`, TLS_HINT];
  if (code.startsWith("HPE_") || code === "UND_ERR_HEADERS_OVERFLOW") {
    return ["ERR_REGISTRY_PROTOCOL", `not a valid HTTP answer (${code})`, TLS_HINT];
  }
  const why = code === "" ? "" : ` (${code})`;
  return ["ERR_REGISTRY_UNAVAILABLE", `the connection failed${why}`];
}

function isTlsCode(code: string): boolean {
  return /^(?:ERR_(?:SSL|TLS|OSSL)_|EPROTO|CERT_|UNABLE_TO_)|SELF_SIGNED|ISSUER_CERT/u.test(code);
}

function codeOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return codeOf(error.errors[0]);
  if (!(error instanceof Error)) return "";
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  return code === "" && error.name === "HTTPParserError" ? "HPE_INVALID" : code;
}
