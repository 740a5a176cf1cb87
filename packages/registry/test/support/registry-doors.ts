import { execFileSync } from "node:child_process";
import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";

import { loadHostTls, type RegistryClientOptions } from "@stowage/registry";
import {
  type DockerRegistry,
  makeCertificates,
  startDockerRegistry,
  startTokenServer,
} from "@stowage/testkit";

/** A docker-registry, and what it takes to come in: for us, and for containers' own tools. */
export interface RegistryDoor extends AsyncDisposable {
  readonly registry: DockerRegistry;
  readonly client: RegistryClientOptions;
  /** Options of skopeo and podman behind `src-`, `dest-` or nothing. */
  readonly options: (side: "" | "dest-" | "src-") => readonly string[];
}

const USER = { username: "builder", password: "correct horse" };
const LOGIN = `${USER.username}:${USER.password}`;

/** The ways in which docker-registry asks who one is. */
export const DOORS = ["open", "htpasswd", "token server", "TLS and client certificates"] as const;

/** @param folder - for what the registry and its clients keep in files. */
export async function openDoor(
  kind: (typeof DOORS)[number],
  folder: string,
): Promise<RegistryDoor> {
  if (kind === "TLS and client certificates") return openTlsDoor(folder);
  const tokens =
    kind === "token server"
      ? await startTokenServer({ users: { [USER.username]: USER.password } })
      : undefined;
  const registry = await startDockerRegistry({
    ...(kind === "htpasswd" && { htpasswd: hashOf(USER.username, USER.password) }),
    ...(tokens && { token: tokens.trust }),
  });
  const isOpen = kind === "open";
  return {
    registry,
    client: { plainHttp: true, ...(!isOpen && { credentials: USER }) },
    options: (side) => [
      `--${side}tls-verify=false`,
      ...(isOpen ? [] : [`--${side}creds=${LOGIN}`]),
    ],
    async [Symbol.asyncDispose]() {
      await registry[Symbol.asyncDispose]();
      await tokens?.[Symbol.asyncDispose]();
    },
  };
}

async function openTlsDoor(folder: string): Promise<RegistryDoor> {
  const { authority, server, client } = await makeCertificates(folder);
  const certDir = join(folder, "certs.d");
  await mkdir(certDir);
  await copyFile(authority, join(certDir, "ca.crt"));
  await copyFile(client.certificate, join(certDir, "client.cert"));
  await copyFile(client.key, join(certDir, "client.key"));
  const registry = await startDockerRegistry({ tls: { ...server, clients: authority } });
  return {
    registry,
    client: { tls: loadHostTls({ certDir }) },
    options: (side) => [`--${side}cert-dir=${certDir}`],
    [Symbol.asyncDispose]: () => registry[Symbol.asyncDispose](),
  };
}

function hashOf(user: string, password: string): string {
  return execFileSync("htpasswd", ["-Bbn", user, password], { encoding: "utf8" });
}
