import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, openSync, readlinkSync, writeFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

const PROGRAMS = ["/usr/bin/unshare", "/bin/unshare"];
const WAIT_MS = 5000;

/**
 * Makes a user namespace with a map and nobody in it.
 *
 * A process with threads can not enter one, so another does, and is ended when it is held.
 *
 * @param uidMap - Lines as `/proc/PID/uid_map` has them.
 * @returns A descriptor, which keeps the namespace.
 * @throws Error When there is no `unshare`, or the kernel or its administrator forbids it.
 */
export async function openUserNamespace(uidMap: string, gidMap: string): Promise<number> {
  const program = PROGRAMS.find((path) => existsSync(path));
  if (program === undefined) throw new Error("a user namespace takes unshare, of util-linux");
  // It ends with this process, when its input does.
  const child = spawn(program, ["--user", "--", "cat"], {
    env: { PATH: "/usr/bin:/bin" },
    stdio: ["pipe", "ignore", "ignore"],
  });
  const ended = once(child, "exit");
  ended.catch(() => {});
  try {
    await Promise.race([
      once(child, "spawn"),
      ended.then(() => {
        throw new Error(`${program} ended at once`);
      }),
    ]);
    const process = `/proc/${child.pid}`;
    await entered(`${process}/ns/user`, program);
    writeFileSync(`${process}/uid_map`, uidMap);
    writeFileSync(`${process}/gid_map`, gidMap);
    return openSync(`${process}/ns/user`, "r");
  } finally {
    child.kill("SIGKILL");
    await ended.catch(() => {});
  }
}

async function entered(link: string, program: string): Promise<void> {
  const own = readlinkSync("/proc/self/ns/user");
  const deadline = performance.now() + WAIT_MS;
  while (readlinkSync(link) === own) {
    if (performance.now() > deadline) throw new Error(`${program} made no user namespace`);
    await delay(1);
  }
}
