import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { symlink } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";

import { tempDir } from "@stowage/testkit";
import { expect, test } from "vitest";

import { refuseNode } from "../src/supported-node.ts";
import { BUILT_MAIN } from "./support/built-main.ts";

const OLD_NODE = findOldNode();
const CODE = "ERR_STOWAGE_UNSUPPORTED_NODE";

test.each(["14.0.0", "20.20.2", "22.22.1", "23.11.1", "24.14.9", "25.9.0"])(
  "Node %s is refused, with what is needed and what is here",
  (version) => {
    const { error } = JSON.parse(refuseNode(version, "json") ?? "{}");
    const { engines } = JSON.parse(
      readFileSync(new URL("../package.json", import.meta.url), "utf8"),
    );
    expect(error.code).toBe(CODE);
    expect(error.message).toContain(version);
    expect(error.message).toContain(`Node ${engines.node} is needed`);
  },
);

test.each(["22.22.2", "22.23.0", "24.15.0", "24.21.0", "26.0.0", "27.1.0"])(
  "Node %s is taken",
  (version) => {
    expect(refuseNode(version, "text")).toBeUndefined();
  },
);

test.skipIf(OLD_NODE === undefined)(
  "an old Node that npm's link finds first ends every command with 1, and says so (if an old Node is installed)",
  async () => {
    await using folder = await tempDir("stowage-old-node-");
    await symlink(BUILT_MAIN, join(folder.path, "stowage"));
    await symlink(OLD_NODE ?? "", join(folder.path, "node"));
    const env = { PATH: [folder.path, process.env["PATH"]].join(delimiter), HOME: folder.path };
    for (const words of [
      ["images"],
      ["version"],
      ["--help"],
      ["pull", "docker.io/library/busybox"],
    ]) {
      const { status, stdout, stderr } = spawnSync("stowage", words, { env, encoding: "utf8" });
      expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
      expect(stderr).toMatch(/^stowage: Node \^22\S+ .* is needed, and this is Node \d+\.\S+ /);
    }
    const { stderr } = spawnSync("stowage", ["--format=json", "info"], { env, encoding: "utf8" });
    expect(JSON.parse(stderr)).toMatchObject({ error: { code: CODE } });
  },
);

function findOldNode(): string | undefined {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/bin", "/usr/local/bin"];
  return folders
    .map((folder) => join(folder, "node"))
    .filter((path) => dirname(path) !== dirname(process.execPath) && existsSync(path))
    .find((path) => {
      const version = execFileSync(path, ["-p", "process.versions.node"], { encoding: "utf8" });
      return refuseNode(version.trim(), "text") !== undefined;
    });
}
