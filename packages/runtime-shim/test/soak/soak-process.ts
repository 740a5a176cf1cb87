import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";

import type { RuntimeOptions } from "@stowage/runtime-shim";

import type { SoakAnswer, SoakOrder } from "./soak-worker.ts";

/** A process that is told what to do, and can be killed in the middle of it. */
export interface SoakProcess {
  /** Resolves to `undefined` if it died before it answered. */
  ask(order: SoakOrder): Promise<SoakAnswer | undefined>;
  kill(): void;
  end(): Promise<void>;
}

export async function startSoakProcess(options: RuntimeOptions): Promise<SoakProcess> {
  const script = join(import.meta.dirname, "soak-worker.ts");
  const args = ["--conditions=@stowage/source", script, JSON.stringify(options)];
  const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.on("error", () => {});
  const ended = once(child, "exit");
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<SoakAnswer | undefined> => {
    const { value, done } = await lines.next();
    return done ? undefined : (JSON.parse(value) as SoakAnswer);
  };
  const first = await next();
  if (first?.result !== "ready") throw new Error("a process of the soak could not open the store");
  return {
    ask(order) {
      child.stdin.write(`${JSON.stringify(order)}\n`);
      return next();
    },
    kill: () => void child.kill("SIGKILL"),
    async end() {
      child.stdin.end();
      await ended;
    },
  };
}
