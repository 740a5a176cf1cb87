import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { createRuntime, type Runtime, type RuntimeOptions } from "@stowage/runtime-shim";

import { createScratch } from "./host-root.ts";

/** Mounting takes root; what needs it says so in its name where it cannot. */
export const CAN_MOUNT: boolean = process.getuid?.() === 0;

/** A runtime over directories of its own. */
export interface RuntimeWorld extends AsyncDisposable {
  readonly path: string;
  readonly options: RuntimeOptions;
  readonly runtime: Runtime;
  readonly warnings: readonly string[];
  /** Mount points under `path`, as the kernel has them. */
  mounts(): Promise<readonly string[]>;
  /** Loses what a reboot loses, and opens the runtime again. */
  reboot(): Promise<void>;
}

/**
 * Opens a runtime that trusts everything, unless told, over a `registries.conf` with this text. All
 * of it goes when its scope ends.
 */
export async function openRuntimeWorld(
  changes: Partial<RuntimeOptions> = {},
  registriesConf = "",
): Promise<RuntimeWorld> {
  const { path, ...scratch } = await createScratch();
  const warnings: string[] = [];
  const policyPath = join(path, "policy.json");
  await writeFile(policyPath, JSON.stringify({ default: [{ type: "insecureAcceptAnything" }] }));
  const options: RuntimeOptions = {
    root: join(path, "root"),
    runRoot: join(path, "run"),
    policyPath,
    tlsVerify: false,
    authfile: join(path, "auth.json"),
    registriesConf: join(path, "registries.conf"),
    shortNameAliases: join(path, "short-name-aliases.conf"),
    onWarning: (message) => warnings.push(message),
    ...changes,
  };
  await writeFile(join(path, "auth.json"), "{}");
  await writeFile(join(path, "registries.conf"), registriesConf);
  let runtime = await createRuntime(options);
  return {
    path,
    options,
    get runtime() {
      return runtime;
    },
    warnings,
    mounts: () => mountsUnder(path),
    async reboot() {
      for (const { id } of (await runtime.store.containers.list()).containers) {
        await runtime.store.mounts.unmountContainer(id, { force: true });
      }
      await runtime[Symbol.asyncDispose]();
      await rm(options.runRoot, { recursive: true });
      runtime = await createRuntime(options);
    },
    async [Symbol.asyncDispose]() {
      for (const { id } of (await runtime.store.containers.list()).containers) {
        await runtime.store.containers.remove(id);
      }
      await runtime[Symbol.asyncDispose]();
      await scratch[Symbol.asyncDispose]();
    },
  };
}

/** Mount points under `path`, as the kernel has them. */
export async function mountsUnder(path: string): Promise<readonly string[]> {
  const table = await readFile("/proc/self/mountinfo", "utf8");
  return table.split("\n").flatMap((line) => {
    const point = line.split(" ")[4];
    return point?.startsWith(`${path}/`) ? [point] : [];
  });
}
