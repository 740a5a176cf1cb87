import { spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, chownSync, constants, statSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";

import { hasPeer, tempDir } from "@stowage/testkit";
import { describe, expect, test, vi } from "vitest";

const WORKSPACE = join(import.meta.dirname, "../../..");
const QUICKSTART = [
  process.execPath,
  "--conditions=@stowage/source",
  "tools/quickstart/src/main.ts",
];
const IS_ROOT = process.getuid?.() === 0;
const CAN_RUN = process.platform === "linux" && IS_ROOT && hasPeer("runc");
const NOBODY = 65_534;
// As the process prints it, and not as the command that is shown.
const GREETING = /^Hello from a container\. My kernel is \d/m;

// In a mount namespace of its own, whatever could run a container, or install what could, is no program.
const WITHOUT_RUNTIMES = [
  "unshare",
  "--mount",
  "sh",
  "-c",
  `for name in crun runc youki runsc apt-get; do
    for folder in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin; do
      [ -x $folder/$name ] && mount --bind /dev/null "$(readlink -f $folder/$name)"
    done
  done
  exec "$@"`,
  "sh",
];
const AS_NOBODY = ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"];

// Each starts a dozen programs, one after another, also where many others are at work.
vi.setConfig({ testTimeout: 300_000 });

describe.skipIf(!CAN_RUN)(`as root${CAN_RUN ? "" : " (needs root, Linux and runc)"}`, () => {
  test("does the main job, twice, and leaves no mounts and no processes", async () => {
    await using folder = await tempDir();
    for (const shown of ["unpacked", "What an earlier run had pulled is removed."]) {
      const { code, output } = await run(QUICKSTART, folder.path);
      expect(code, output).toBe(0);
      expect(output).toContain(shown);
      expect(output).toContain("fetched");
      expect(output).toMatch(GREETING);
      expect(output).toContain("\nAssembled by the quickstart.\n");
      expect(await leftOf(folder.path)).toEqual([]);
    }
  });

  test("without an OCI runtime, writes the bundle, and what it says to type runs it", async () => {
    await using folder = await tempDir();
    const { code, output } = await run([...WITHOUT_RUNTIMES, ...QUICKSTART], folder.path);
    expect(code, output).toBe(0);
    expect(output).toContain("not installed");
    expect(output).not.toMatch(GREETING);
    expect(await leftOf(folder.path)).toEqual([]);
    const [start = "", runc = "", stop = ""] = typedIn(output);
    const typed = await run(["sh", "-e", "-c", `${start}; ${runc}; ${stop}`], folder.path);
    expect(typed.output).toMatch(GREETING);
    expect(typed.code).toBe(0);
    expect(await leftOf(folder.path)).toEqual([]);
  });
});

const CAN_BE_NOBODY = CAN_RUN && isReadableByAll(WORKSPACE);

test.runIf(CAN_BE_NOBODY || !IS_ROOT)(
  "as a user, says what it does instead of mounting, and what root would type",
  async () => {
    await using folder = await tempDir();
    if (IS_ROOT) chownSync(folder.path, NOBODY, NOBODY);
    const command = IS_ROOT ? [...AS_NOBODY, ...QUICKSTART] : QUICKSTART;
    const { code, output } = await run(command, folder.path);
    expect(code, output).toBe(0);
    expect(output).toContain("takes root on Linux");
    const [, template = ""] = /That configuration is (.*)\.\n/.exec(output) ?? [];
    expect(JSON.parse(await readFile(template, "utf8"))).toMatchObject({
      process: { args: ["/bin/sh", "-c", expect.stringContaining("Hello")] },
    });
    expect(await leftOf(folder.path)).toEqual([]);
    expect(output).not.toMatch(GREETING);
  },
);

/** The commands that are shown to be typed: each alone on a line, further in than the words. */
function typedIn(output: string): readonly string[] {
  return [...output.matchAll(/^ {4}((?:STOWAGE_|runc ).*)$/gm)].map(([, line]) => line ?? "");
}

async function run(words: readonly string[], temporary: string) {
  const child = spawn(words[0] ?? "", words.slice(1), {
    cwd: WORKSPACE,
    env: {
      ...process.env,
      TMPDIR: temporary,
      HOME: temporary,
      STOWAGE_RUNTIME: undefined,
      NODE_COMPILE_CACHE: join(import.meta.dirname, "../node_modules/.cache/compile"),
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (output += text));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, output };
}

/** Mount points below a folder, and processes that have it in their environment. */
async function leftOf(folder: string): Promise<readonly string[]> {
  const table = await readFile("/proc/self/mountinfo", "utf8");
  const mounts = table.split("\n").filter((line) => line.split(" ")[4]?.startsWith(`${folder}/`));
  const processes: string[] = [];
  for (const pid of await readdir("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    // One that has ended meanwhile, or is another's, is none that was left.
    const environment = await readFile(`/proc/${pid}/environ`, "utf8").catch(() => "");
    if (environment.includes(`TMPDIR=${folder}\0`)) processes.push(pid);
  }
  return [...mounts, ...processes];
}

function isReadableByAll(path: string): boolean {
  accessSync(path, constants.R_OK);
  for (let at = path; at !== "/"; at = dirname(at)) {
    if ((statSync(at).mode & 0o005) !== 0o005) return false;
  }
  return true;
}
