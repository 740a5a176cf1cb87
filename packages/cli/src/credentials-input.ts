import { addAbortSignal } from "node:stream";

import type { CommandContext } from "./command.ts";
import { UsageError } from "./usage-error.ts";

const MAX_LENGTH = 64 * 1024;

/** Reads `user:password` from standard input: on the command line, all the machine could see it. */
export async function readCredentials(
  context: CommandContext,
  flag = "--creds-stdin",
): Promise<{ readonly username: string; readonly password: string }> {
  let text = "";
  const { stdin, signal } = context;
  stdin.setEncoding("utf8");
  // Whoever waits for somebody who types nothing can still be told to stop.
  addAbortSignal(signal, stdin);
  try {
    for await (const chunk of stdin as AsyncIterable<string>) {
      text += chunk;
      if (text.length > MAX_LENGTH) break;
    }
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  }
  const line = text.replace(/\r?\n$/, "");
  const colon = line.indexOf(":");
  if (colon < 1 || line.includes("\n")) {
    throw new UsageError(`${flag}: standard input is not user:password`, {
      hint: `printf '%s' "$USER_AND_PASSWORD" | stowage … ${flag}`,
    });
  }
  return { username: line.slice(0, colon), password: line.slice(colon + 1) };
}
