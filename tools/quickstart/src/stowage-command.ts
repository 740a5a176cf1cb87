import { spawn } from "node:child_process";
import { once } from "node:events";
import { join, relative } from "node:path";

const MAIN = join(import.meta.dirname, "../../../packages/cli/src/main.ts");
const PROGRAM = [process.execPath, "--conditions=@stowage/source", MAIN] as const;

/** What came of a command. */
export interface Ended {
  readonly code: number;
  readonly output: string;
}

/** The command line, over a store of its own. */
export interface Stowage {
  /** Runs a command as a user would, showing what is typed and what comes of it. */
  run(...args: readonly string[]): Promise<Ended>;
  /** As `run`, for a step that has to succeed; its output. */
  must(...args: readonly string[]): Promise<string>;
  /** As `run`, but shows nothing. */
  ask(...args: readonly string[]): Promise<Ended>;
  /** What to type for a command, in the folder of the workspace. */
  typed(...args: readonly string[]): string;
}

export function createStowage(env: Readonly<Record<string, string>>): Stowage {
  const show = (text: string): void => void process.stdout.write(text);
  const run: Stowage["run"] = (...args) => {
    show(`\n$ stowage ${quoteAll(args)}\n`);
    return spawnStowage(args, env, show);
  };
  return {
    run,
    async must(...args) {
      const { code, output } = await run(...args);
      if (code !== 0) throw new Error(`stowage ${args[0]} ended with ${code}`);
      return output;
    },
    ask: (...args) => spawnStowage(args, env, undefined),
    typed(...args) {
      const variables = Object.entries(env).map(([name, value]) => `${name}=${quote(value)}`);
      const program = PROGRAM.map((word) =>
        word.startsWith(`${process.cwd()}/`) ? relative(process.cwd(), word) : word,
      );
      return [...variables, quoteAll([...program, ...args])].join(" ");
    },
  };
}

async function spawnStowage(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  show: ((text: string) => void) | undefined,
): Promise<Ended> {
  const [program, ...words] = [...PROGRAM, ...args];
  const child = spawn(program, words, {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", show ? "inherit" : "ignore"],
  });
  let output = "";
  child.stdout.setEncoding("utf8");
  child.stdout.on("data", (text: string) => {
    output += text;
    show?.(text);
  });
  const [code, signal] = (await once(child, "close")) as [number | null, string | null];
  if (signal !== null) throw new Error(`stowage ${args[0]} was ended by ${signal}`);
  return { code: code ?? 1, output: output.trim() };
}

function quoteAll(words: readonly string[]): string {
  return words.map(quote).join(" ");
}

function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
