/**
 * The command line: as a process, to be stepped through, and within this one, to be quick.
 *
 * @module
 */
import { join } from "node:path";
import { Writable } from "node:stream";

import { runCli } from "stowage";

/** What came of a command. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const MAIN = join(import.meta.dirname, "../../../packages/cli/src/main.ts");
// Most of what a short command does is to compile itself.
const COMPILE_CACHE = join(import.meta.dirname, "../node_modules/.cache/compile");

/** The words that start the command line as a process. */
export const STOWAGE_WORDS: readonly string[] = [
  process.execPath,
  "--conditions=@stowage/source",
  MAIN,
];

/** Where a command line works. */
export interface StowagePlace {
  readonly root: string;
  readonly runRoot: string;
  readonly policy: string;
  readonly authfile: string;
  /** Where `export podman` puts what it makes: beside the root, and on its disk. */
  readonly exportDir: string;
}

/** The environment of a command. One thread of the pool, so that steps come in the same order. */
export function stowageEnv(place: StowagePlace): Readonly<Record<string, string>> {
  return {
    PATH: process.env["PATH"] ?? "",
    HOME: place.runRoot,
    NODE_COMPILE_CACHE: COMPILE_CACHE,
    UV_THREADPOOL_SIZE: "1",
    UV_USE_IO_URING: "0",
    STOWAGE_ROOT: place.root,
    STOWAGE_RUN_ROOT: place.runRoot,
    STOWAGE_POLICY: place.policy,
    STOWAGE_AUTHFILE: place.authfile,
    STOWAGE_FORMAT: "json",
    STOWAGE_NO_PROGRESS: "1",
  };
}

/** Runs a command in this process. */
export async function runHere(place: StowagePlace, args: readonly string[]): Promise<Ended> {
  const [stdout, stderr] = [capture(), capture()];
  const streams = {
    stdin: process.stdin,
    stdout: stdout.stream as NodeJS.WriteStream,
    stderr: stderr.stream as NodeJS.WriteStream,
    env: stowageEnv(place),
  };
  const code = await runCli(args, streams);
  return { code, stdout: stdout.text(), stderr: stderr.text() };
}

/** As {@link runHere}, and fails unless the command ends with 0. Answers what was printed. */
export async function mustRunHere(
  place: StowagePlace,
  ...args: readonly string[]
): Promise<string> {
  const { code, stdout, stderr } = await runHere(place, args);
  if (code !== 0) throw new Error(`stowage ${args.join(" ")} ended with ${code}: ${stderr}`);
  return stdout;
}

function capture(): { readonly stream: Writable; readonly text: () => string } {
  const chunks: Buffer[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(Buffer.from(chunk));
      done();
    },
  });
  return { stream, text: () => Buffer.concat(chunks).toString() };
}
