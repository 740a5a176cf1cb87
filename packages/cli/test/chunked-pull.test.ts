import { spawn } from "node:child_process";
import { once } from "node:events";

import {
  hasPeer,
  noise,
  pushChunkedImage,
  startCountingProxy,
  startDockerRegistry,
  type TarEntry,
} from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { BUILT_MAIN } from "./support/built-main.ts";
import { openCliWorld } from "./support/cli-world.ts";

const READY = hasPeer("docker-registry") && hasPeer("skopeo");
const MEGABYTE = 1_000_000;
const KILLS = 3;

describe.runIf(READY)(
  "R18 row 43: a pull of a layer in part, from docker-registry, if installed",
  () => {
    test("that is killed again and again goes on, and transfers little twice", async () => {
      await using world = await openCliWorld();
      await using registry = await startDockerRegistry();
      await pushChunkedImage(`${registry.host}/team/app:1`, version("1"));
      await pushChunkedImage(`${registry.host}/team/app:2`, version("2"));
      let crossed = (_total: number): void => {};
      await using proxy = await startCountingProxy({
        target: registry.host,
        linkRate: 4 * MEGABYTE,
        onBytes: (total) => crossed(total),
      });
      const name = `${proxy.host}/team/app`;
      await world.ok("pull", "--tls-verify=false", `${name}:1`);
      const before = proxy.bytes;
      const args = [BUILT_MAIN, "--no-progress", "pull", "--tls-verify=false", `${name}:2`];
      let killed = 0;
      for (let kill = 1; kill <= KILLS; kill += 1) {
        const pull = spawn(process.execPath, args, { env: world.env, stdio: "ignore" });
        const closed = once(pull, "close");
        const point = before + (kill * 3 * MEGABYTE) / (KILLS + 1);
        crossed = (total) => total >= point && pull.kill("SIGKILL");
        const [, signal] = (await closed) as [number | null, NodeJS.Signals | null];
        if (signal === "SIGKILL") killed += 1;
      }
      crossed = () => {};
      const pulled = await world.ok("--format", "json", "pull", "--tls-verify=false", `${name}:2`);
      const { transferred } = JSON.parse(pulled) as { transferred: { reused?: number } };
      expect(killed).toBe(KILLS);
      expect(transferred.reused).toBeGreaterThan(0);
      // Three of nine megabytes are new.
      expect(proxy.bytes - before).toBeLessThan(1.5 * 3 * MEGABYTE);
      const checked = await world.run(["fsck", "--deep"]);
      expect(checked.code, checked.stdout).toBe(0);
    });

    test("says what was here, and what came", async () => {
      await using world = await openCliWorld();
      await using registry = await startDockerRegistry();
      const name = `${registry.host}/team/app`;
      await pushChunkedImage(`${name}:1`, version("1").slice(0, 5));
      await pushChunkedImage(`${name}:2`, version("2").slice(0, 5));
      await world.ok("pull", "--tls-verify=false", `${name}:1`);
      const { code, stderr, stdout } = await world.run(["pull", "--tls-verify=false", `${name}:2`]);
      expect(code).toBe(0);
      expect(stderr).toMatch(
        /^reusing {2}[0-9a-f]{12} {2}3\.00 MB of 5\.01 MB are here, 2 ranges to fetch$/m,
      );
      expect(stderr).toMatch(
        /^fetched {2}[0-9a-f]{12} {2}5\.01 MB, 3\.00 MB of it copied from what was here/m,
      );
      await world.ok("rmi", `${name}:2`);
      const whole = await world.run(["pull", "--whole", "--tls-verify=false", `${name}:2`]);
      expect(whole.stderr).toContain("unpacked");
      expect(whole.stderr).not.toMatch(/^reusing|copied/m);
      expect(whole.stdout).toBe(stdout);
    });
  },
);

/** Nine files of a megabyte, of which every third is new in each version. */
function version(tag: string): readonly TarEntry[] {
  return Array.from({ length: 9 }, (_, at) => {
    const seed = at % 3 === 1 ? `${tag} ${at}` : `${at}`;
    return { name: `file-${at}`, content: noise(seed, MEGABYTE) };
  });
}
