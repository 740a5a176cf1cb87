import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, rename, utimes, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

import { digestOf, MEDIA_TYPE } from "@stowage/content";
import { logOut } from "@stowage/registry";
import { hasPeer, tempDir } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { placeOf } from "../support/places.ts";

const IS_LINUX = process.platform === "linux";
const CHILD = join(import.meta.dirname, "../support/hanging-copy.ts");
const WORDS = ["--conditions=@stowage/source", CHILD];
const DAY_MS = 24 * 60 * 60 * 1000;

const PLACES = [
  ["oci", "layout"],
  ["dir", "folder"],
  ["oci-archive", "image.tar"],
  ["docker-archive", "image.tar"],
] as const;

describe.skipIf(!IS_LINUX)(
  `what SIGKILL leaves of a copy${IS_LINUX ? "" : " (needs Linux)"}`,
  () => {
    test.for(PLACES)("to %s: goes with the next copy there", async ([kind, name]) => {
      await using world = await tempDir();
      const path = join(world.path, name);
      const child = await startCopy(kind, path, "killed");
      await end(child, "SIGKILL");
      expect(await partials(world.path)).toHaveLength(1);
      await copy(kind, path, "next");
      expect(await partials(world.path)).toEqual([]);
    });

    test.for(PLACES.filter(([kind]) => kind !== "dir"))(
      "to %s: goes, and what a living process writes there stays, and gets whole",
      async ([kind, name]) => {
        await using world = await tempDir();
        const path = join(world.path, name);
        const killed = await startCopy(kind, path, "killed");
        const living = await startCopy(kind, path, "living");
        expect(await partials(world.path)).toHaveLength(2);
        await end(killed, "SIGKILL");
        await copy(kind, path, "next");
        expect(await partials(world.path)).toHaveLength(1);
        living.stdin.write("go on\n");
        expect(await end(living)).toBe(0);
        expect(await partials(world.path)).toEqual([]);
      },
    );

    test("is known for a dead process's where its number belongs to another by now", async () => {
      await using world = await tempDir();
      const path = join(world.path, "layout");
      await end(await startCopy("oci", path, "killed"), "SIGKILL");
      const [left = ""] = await partials(world.path);
      // As if this process had got the number of the one that was killed.
      const [before, realm, , ...after] = basename(left).split("-");
      const again = [before, realm, process.pid, ...after].join("-");
      await rename(left, join(dirname(left), again));
      await copy("oci", path, "next");
      expect(await partials(world.path)).toEqual([]);
    });

    test("stays for a day if it is of another boot or container, where nobody knows who lives", async () => {
      await using world = await tempDir();
      const path = join(world.path, "layout");
      await end(await startCopy("oci", path, "killed"), "SIGKILL");
      const [left = ""] = await partials(world.path);
      const [before, , ...after] = basename(left).split("-");
      const elsewhere = join(dirname(left), [before, "0".repeat(16), ...after].join("-"));
      await rename(left, elsewhere);
      await copy("oci", path, "next");
      expect(await partials(world.path)).toEqual([elsewhere]);
      const old = new Date(Date.now() - 1.1 * DAY_MS);
      await utimes(elsewhere, old, old);
      await copy("oci", path, "another");
      expect(await partials(world.path)).toEqual([]);
    });

    test("is all that goes: a file that somebody else calls partial stays", async () => {
      await using world = await tempDir();
      const theirs = join(world.path, ".theirs.partial");
      await writeFile(theirs, "");
      await copy("oci-archive", join(world.path, "image.tar"), "it");
      expect(await partials(world.path)).toEqual([theirs]);
    });

    test.skipIf(!hasPeer("strace"))(
      `of a change of credentials: goes with the next change${hasPeer("strace") ? "" : " (needs strace)"}`,
      async () => {
        await using world = await tempDir();
        const authfile = join(world.path, "auth.json");
        const auths = { "a.example.com": { auth: "dTpw" }, "b.example.com": { auth: "dTpw" } };
        await writeFile(authfile, JSON.stringify({ auths }), { mode: 0o600 });
        const script = `
        import { logOut } from "@stowage/registry";
        await logOut("a.example.com", { authfile: process.argv[1], env: {} });
      `;
        const node = [
          process.execPath,
          WORDS[0] ?? "",
          "--input-type=module",
          "-e",
          script,
          authfile,
        ];
        const kill = ["-f", "-qq", "-o", "/dev/null", "-e", "inject=fsync:signal=KILL"];
        spawnSync("strace", [...kill, "--", ...node], { cwd: import.meta.dirname });
        expect(await partials(world.path)).toHaveLength(1);
        await logOut("b.example.com", { authfile, env: {} });
        expect(await partials(world.path)).toEqual([]);
        const { auths: kept } = JSON.parse(await readFile(authfile, "utf8"));
        expect(Object.keys(kept)).toEqual(["a.example.com"]);
      },
    );
  },
);

/** Starts a copy in another process, which waits when half of it is there. */
async function startCopy(
  kind: string,
  path: string,
  text: string,
): Promise<ChildProcessWithoutNullStreams> {
  const child = spawn(process.execPath, [...WORDS, kind, path, text]);
  child.stderr.on("data", (bytes: Uint8Array) => process.stderr.write(bytes));
  await once(child.stdout, "data");
  return child;
}

async function end(
  child: ChildProcessWithoutNullStreams,
  signal?: NodeJS.Signals,
): Promise<number | null> {
  const closed = once(child, "close");
  if (signal !== undefined) child.kill(signal);
  const [code] = await closed;
  return code as number | null;
}

async function copy(kind: string, path: string, text: string): Promise<void> {
  const bytes = Buffer.from(text);
  const blob = { mediaType: MEDIA_TYPE.layerTar, digest: digestOf(bytes), size: bytes.length };
  await using destination = placeOf(kind, path);
  await destination.writeBlob(blob, {
    async *openContent() {
      yield bytes;
    },
  });
}

/** The paths of partial files below a folder. */
async function partials(path: string): Promise<readonly string[]> {
  const entries = await readdir(path, { recursive: true });
  return entries.filter((entry) => entry.endsWith(".partial")).map((entry) => join(path, entry));
}
