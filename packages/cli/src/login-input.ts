import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";

import type { CommandContext } from "./command.ts";
import { UsageError } from "./usage-error.ts";

const MAX_LENGTH = 64 * 1024;

/** User and password from flags, standard input or, hidden, a terminal; never from an argument. */
export async function readLogin(
  context: CommandContext,
  flags: Readonly<Record<string, unknown>>,
): Promise<{ readonly username: string; readonly password: string }> {
  const { username: given, passwordStdin } = flags;
  const isAsked = context.stdin.isTTY && passwordStdin !== true;
  if (typeof given !== "string" && !isAsked) {
    throw new UsageError("login needs to be told who you are", {
      hint: "--username NAME --password-stdin, with the password on standard input.",
    });
  }
  if (passwordStdin !== true && !isAsked) {
    throw new UsageError("login has no terminal to ask for the password at", {
      hint: "--password-stdin reads it from standard input.",
    });
  }
  const username = typeof given === "string" ? given : await ask(context, "Username: ", false);
  const password = isAsked ? await ask(context, "Password: ", true) : await readPassword(context);
  return { username, password };
}

async function readPassword({ stdin, signal }: CommandContext): Promise<string> {
  let text = "";
  stdin.setEncoding("utf8");
  for await (const chunk of stdin as AsyncIterable<string>) {
    signal.throwIfAborted();
    text += chunk;
    if (text.length > MAX_LENGTH) throw new UsageError("--password-stdin: over 64 KiB");
  }
  const password = text.replace(/\r?\n$/, "");
  if (password === "" || /[\r\n]/.test(password)) {
    throw new UsageError("--password-stdin: standard input is not one password");
  }
  return password;
}

async function ask(context: CommandContext, question: string, hidden: boolean): Promise<string> {
  const { stdin, stderr, signal } = context;
  // The terminal echoes nothing by itself while lines are edited here, so nobody sees what is typed.
  const output = hidden ? new Writable({ write: (_chunk, _encoding, done) => done() }) : stderr;
  const terminal = createInterface({ input: stdin, output, terminal: true });
  // In this mode the key is a key, and no signal.
  terminal.once("SIGINT", () => process.kill(process.pid, "SIGINT"));
  try {
    if (hidden) stderr.write(question);
    return await terminal.question(hidden ? "" : question, { signal });
  } finally {
    terminal.close();
    if (hidden) stderr.write("\n");
  }
}
