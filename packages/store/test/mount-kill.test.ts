import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

import { openStore } from "@stowage/store";
import { expect, test } from "vitest";

import { IS_ROOT, NEEDS_ROOT } from "./support/needs-root.ts";
import { openWorld, type StoreWorld } from "./support/store-world.ts";

const ROUNDS = 8;

test.skipIf(!IS_ROOT)(
  `R15: a process killed anywhere while it mounts and unmounts leaves what the kernel's table says, and a count that is at most one off what it was told${NEEDS_ROOT}`,
  async () => {
    await using world = await openWorld();
    const { store } = world;
    const { id } = await store.containers.create({ names: ["c"], metadata: "" });
    for (let round = 0; round < ROUNDS; round += 1) {
      const acknowledged = await killWhileMounting(world, id, round * 7);
      await using again = await openStore(world);
      const listed = await again.mounts.list();
      const lines = tableLines(join(world.runRoot, "mounts", id, "merged"));
      expect(lines).toBe(listed.length);
      expect(lines).toBeLessThanOrEqual(1);
      const count = listed[0]?.count ?? 0;
      expect(Math.abs(count - acknowledged), `${count}, not ${acknowledged}`).toBeLessThanOrEqual(
        1,
      );
      // Whoever comes next finds it usable, and can end it.
      const mounted = await again.mounts.mountContainer(id);
      expect(mounted.count).toBe(count + 1);
      for (let left = mounted.count; left > 0; left -= 1) {
        expect(await again.mounts.unmountContainer(id)).toBe(left - 1);
      }
      expect(tableLines(mounted.mountPoint)).toBe(0);
    }
  },
);

test.skipIf(!IS_ROOT)(
  `a mount that can not be written down is undone: whoever is told that it failed does not end it${NEEDS_ROOT}`,
  async () => {
    await using world = await openWorld();
    const { containers, mounts } = world.store;
    const { id } = await containers.create({ names: ["c"], metadata: "" });
    const directory = join(world.runRoot, "mounts", id);
    mkdirSync(join(directory, "mount.json"), { recursive: true });
    await expect(mounts.mountContainer(id)).rejects.toMatchObject({ code: "ERR_STORE_IO" });
    expect(tableLines(join(directory, "merged"))).toBe(0);
    expect(readdirSync(directory).toSorted()).toEqual(["merged", "mount.json"]);
    rmSync(join(directory, "mount.json"), { recursive: true });
    expect(await mounts.mountContainer(id)).toMatchObject({ count: 1 });
  },
);

/** Answers how many users there were when the last answer came. */
async function killWhileMounting(world: StoreWorld, id: string, ms: number): Promise<number> {
  const script = join(import.meta.dirname, "support/store-worker.ts");
  const child = spawn(
    process.execPath,
    ["--conditions=@stowage/source", script, world.root, world.runRoot],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  let output = "";
  child.stdout.on("data", (data: Buffer) => void (output += data.toString()));
  await once(child.stdout, "data");
  const commands = Array.from({ length: 200 }, (_, n) => `${n % 3 === 2 ? "un" : ""}mount ${id}\n`);
  child.stdin.on("error", () => {}).write(commands.join(""));
  await new Promise((resolve) => setTimeout(resolve, ms));
  child.kill("SIGKILL");
  await once(child, "close");
  return Number(output.trim().split("\n").at(-1)) || 0;
}

function tableLines(mountPoint: string): number {
  const table = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  return table.filter((line) => line.split(" ")[4] === mountPoint).length;
}
