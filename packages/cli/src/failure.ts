import { errorKind, escapeText, hasErrorCode } from "@stowage/content";

import type { Format, GlobalOptions } from "./global-options.ts";
import type { Redact } from "./typed-secrets.ts";
import { usualHint } from "./usual-hint.ts";

const MAX_CAUSES = 8;
const CREDENTIALS_HINT =
  "Leave user and password out: `stowage login` asks for them, and keeps them for a registry.";

/** What a failure was in the middle of. */
export interface FailureContext {
  readonly options?: GlobalOptions | undefined;
  /** What the command was at. */
  readonly subject?: string | undefined;
  /** Takes out what nobody should have typed. */
  readonly redact?: Redact | undefined;
}

/** One clear message and what to do; as JSON, with the codes and the causes. Never a stack. */
export function renderFailure(
  error: unknown,
  format: Format,
  { options, subject, redact = (text) => text }: FailureContext = {},
): string {
  const { code, message: text, ...described } = describe(error);
  // A digest says nothing to whoever asked for an image by its name.
  const isBare = subject !== undefined && /^(?:\w+ )?sha\d+:[0-9a-f]/.test(text);
  const told = isBare ? `${escapeText(subject, 500)}: ${text}` : text;
  const message = redact(told);
  const ownHint = hintOf(error, options) ?? described.hint ?? usualHint(error);
  const hint = message === told ? ownHint && redact(ownHint) : CREDENTIALS_HINT;
  const causes = causesOf(error).map((cause) => ({ ...cause, message: redact(cause.message) }));
  if (format === "json") {
    return `${JSON.stringify({ error: { code, message, hint: hint ?? null, causes } })}\n`;
  }
  const root = causes.at(-1);
  const because = root && !message.includes(root.message) ? ` (${root.message})` : "";
  return `stowage: ${message}${because}\n${hint ? `  ${hint}\n` : ""}`;
}

/** What a failure of one thing among many is in a result. */
export function describeFailure(error: unknown): {
  readonly code: string;
  readonly message: string;
  readonly hint: string | null;
} {
  const { code, message, hint } = describe(error);
  return { code, message, hint: hint ?? usualHint(error) ?? null };
}

interface Description {
  readonly code: string;
  readonly message: string;
  readonly hint?: string | undefined;
}

function describe(error: unknown): Description {
  const { code, hint } = (error ?? {}) as { code?: unknown; hint?: unknown };
  const message = error instanceof Error ? error.message : String(error);
  return {
    code: typeof code === "string" ? code : (errorKind(error) ?? "ERR_STOWAGE_INTERNAL"),
    message: escapeText(message.replace(NODE_ADVICE, ""), 2000),
    hint: typeof hint === "string" ? hint : undefined,
  };
}

/** What Node says behind some failures of TLS, to whoever starts it; nobody does that here. */
const NODE_ADVICE = /; if the root CA is installed locally, try running Node\.js with \S+/;

// Whoever names a policy file means that file, also to the command that writes it.
function hintOf(error: unknown, options: GlobalOptions | undefined): string | undefined {
  if (!hasErrorCode(error, "ERR_POLICY_NOT_FOUND")) return undefined;
  const { policyFile } = error as { policyFile?: unknown };
  const file = typeof policyFile === "string" ? policyFile : options?.policy;
  if (file === undefined) return undefined;
  const word = /^[\w@%+=:,./-]+$/.test(file) ? file : `'${file.replaceAll("'", String.raw`'\''`)}'`;
  return `Run \`stowage policy init --policy ${escapeText(word, 4096)}\` with whom to trust behind it, as in --trust registry.example.com/team.`;
}

function causesOf(error: unknown): readonly Description[] {
  const causes: Description[] = [];
  let cause = (error as { cause?: unknown } | undefined)?.cause;
  while (cause instanceof Error && causes.length < MAX_CAUSES) {
    const { code, message } = describe(cause);
    causes.push({ code, message });
    cause = cause.cause;
  }
  return causes;
}
