import { execFile, spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

import { createScratch } from "./host-root.ts";

/** A real registry, on a port of its own. */
export interface DockerRegistry extends AsyncDisposable {
  readonly host: string;
}

/** Starts Debian's `docker-registry`, which speaks plain HTTP on loopback. */
export async function startDockerRegistry(): Promise<DockerRegistry> {
  const { path, ...scratch } = await createScratch();
  const config = join(path, "config.yml");
  await writeFile(
    config,
    `version: 0.1\nlog: {level: info}\nstorage: {filesystem: {rootdirectory: ${path}/data}}\nhttp: {addr: "127.0.0.1:0"}\n`,
  );
  const child = spawn("docker-registry", ["serve", config], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const stop = async (): Promise<void> => {
    child.kill();
    await ended;
    await scratch[Symbol.asyncDispose]();
  };
  const host = await new Promise<string | undefined>((resolve) => {
    // The lines go on to be read, or the registry would wait for a reader one day.
    createInterface(child.stderr).on("line", (line) => {
      const found = /listening on (127\.0\.0\.1:\d+)/.exec(line)?.[1];
      if (found !== undefined) resolve(found);
    });
    child.once("close", () => resolve(undefined));
    child.once("error", () => resolve(undefined));
  });
  if (host !== undefined) return { host, [Symbol.asyncDispose]: stop };
  await scratch[Symbol.asyncDispose]();
  throw new Error("docker-registry ended before it listened");
}

/** Copies an image from one registry to another with skopeo. */
export async function copyImage(from: string, to: string): Promise<void> {
  const insecure = [
    "--insecure-policy",
    "copy",
    "--src-tls-verify=false",
    "--dest-tls-verify=false",
  ];
  await promisify(execFile)("skopeo", [...insecure, `docker://${from}`, `docker://${to}`]);
}
