import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

const MAIN = join(import.meta.dirname, "../../../packages/cli/src/main.ts");

/** Runs the command line as a user would, showing what is typed and what comes of it. */
export async function stowage(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<{ readonly code: number; readonly output: string }> {
  process.stdout.write(`\n$ stowage ${args.map(quote).join(" ")}\n`);
  const child = spawn(process.execPath, ["--conditions=@stowage/source", MAIN, ...args], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.setEncoding("utf8");
  child.stdout.on("data", (text: string) => {
    output += text;
    process.stdout.write(text);
  });
  const [code, signal] = (await once(child, "close")) as [number | null, string | null];
  if (signal !== null) throw new Error(`stowage ${args[0]} was ended by ${signal}`);
  return { code: code ?? 1, output: output.trim() };
}

/** As {@link stowage}, for a step that has to succeed. */
export async function mustStowage(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<string> {
  const { code, output } = await stowage(args, env);
  if (code !== 0) throw new Error(`stowage ${args[0]} ended with ${code}`);
  return output;
}

function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
