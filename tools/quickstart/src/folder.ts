import { once } from "node:events";
import { lstat, mkdir, mkdtemp } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * A folder that is this user's alone and, as long as this process runs, its alone: the same one each
 * time if it can be. Its name can be guessed, so what somebody else has put there, a link above all,
 * is left alone.
 */
export async function openFolder(): Promise<string> {
  const uid = process.getuid?.() ?? 0;
  const path = join(tmpdir(), `stowage-quickstart-${uid}`);
  await mkdir(path, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error;
  });
  const found = await lstat(path);
  const isOurs = found.isDirectory() && found.uid === uid && (found.mode & 0o077) === 0;
  return isOurs && (await reserve(path)) ? path : mkdtemp(`${path}-`);
}

// A socket without a file: the kernel frees its name when this process ends, however it ends.
async function reserve(path: string): Promise<boolean> {
  if (process.platform !== "linux") return true;
  const server = createServer().unref();
  server.listen(`\0${path}`);
  return once(server, "listening").then(
    () => true,
    () => false,
  );
}
