import { errorKind, escapeText } from "@stowage/content";

import type { Format } from "./global-options.ts";

const MAX_CAUSES = 8;

/** One clear message and what to do; as JSON, with the codes and the causes. Never a stack. */
export function renderFailure(error: unknown, format: Format): string {
  const { code, message, hint } = describe(error);
  if (format === "json") {
    return `${JSON.stringify({ error: { code, message, ...(hint && { hint }), causes: causesOf(error) } })}\n`;
  }
  const root = causesOf(error).at(-1);
  const because = root && !message.includes(root.message) ? ` (${root.message})` : "";
  return `stowage: ${message}${because}\n${hint ? `  ${hint}\n` : ""}`;
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
    message: escapeText(message, 2000),
    hint: typeof hint === "string" ? hint : undefined,
  };
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
