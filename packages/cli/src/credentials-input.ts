import type { CommandContext } from "./command.ts";
import { UsageError } from "./usage-error.ts";

const MAX_LENGTH = 64 * 1024;

/** Reads `user:password` from standard input: on the command line, all the machine could see it. */
export async function readCredentials(
  context: CommandContext,
): Promise<{ readonly username: string; readonly password: string }> {
  let text = "";
  context.stdin.setEncoding("utf8");
  for await (const chunk of context.stdin as AsyncIterable<string>) {
    context.signal.throwIfAborted();
    text += chunk;
    if (text.length > MAX_LENGTH) break;
  }
  const line = text.replace(/\r?\n$/, "");
  const colon = line.indexOf(":");
  if (colon < 1 || line.includes("\n")) {
    throw new UsageError("--creds-stdin: standard input is not user:password");
  }
  return { username: line.slice(0, colon), password: line.slice(colon + 1) };
}
