import { spawn } from "node:child_process";
import { closeSync, openSync, readSync, writeFileSync, writeSync } from "node:fs";
import { createInterface } from "node:readline";

/**
 * A process that exchanges the directory `d` of a tree with a symbolic link to `target`, as fast as
 * it can, over and over. What is swapped in is always a link: where `d` was made anew, so is the link.
 *
 * The board is a file of the count, of 8 bytes, and a byte that says whether to go on, which costs the
 * process two calls a swap: it never waits for anybody.
 */
const SWAP = `
import ctypes, os, stat, sys
target, path = sys.argv[1:]
board = os.open(path, os.O_RDWR)
libc = ctypes.CDLL(None)
EXCHANGE = 2
swaps = links = 0

def exchange(one, other):
    return libc.renameat2(-100, os.fsencode(one), -100, os.fsencode(other), EXCHANGE) == 0

def is_directory(name):
    try: return stat.S_ISDIR(os.lstat(name).st_mode)
    except OSError: return False

print("ready", flush=True)
for line in sys.stdin:
    diff = line.strip()
    directory, swapped = diff + "/d", diff + "/swapped"
    print("ready", flush=True)
    while os.pread(board, 1, 8) == b"1":
        if not exchange(directory, swapped):
            try: os.symlink(target, swapped)
            except OSError: pass
            continue
        swaps += 1
        os.pwrite(board, swaps.to_bytes(8, "little"), 0)
        if is_directory(directory) and is_directory(swapped):
            links += 1
            os.symlink(target, f"{diff}/link-{links}")
            exchange(swapped, f"{diff}/link-{links}")
    print("stopped", flush=True)
`;

/** Swaps `d` of one tree after another for a link, in a process of its own that ends with it. */
export interface DirectorySwapper extends AsyncDisposable {
  /** Swaps while `action` is under way; answers how often it has, up to when that settled. */
  during(diffDir: string, action: () => Promise<unknown>): Promise<number>;
}

/**
 * Starts the process, and answers when it is ready.
 *
 * @param board - A file to be made, away from all that is swapped.
 */
export async function startSwapper(target: string, board: string): Promise<DirectorySwapper> {
  writeFileSync(board, Buffer.alloc(9));
  const fd = openSync(board, "r+");
  const child = spawn("python3", ["-c", SWAP, target, board], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = new Promise((resolve) => child.on("close", resolve));
  const said = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const hear = async (word: string): Promise<void> => {
    const { value } = await said.next();
    if (value !== word) throw new Error(`the swapper ended, or said ${String(value)}`);
  };
  const count = (): number => {
    const bytes = Buffer.alloc(8);
    readSync(fd, bytes, 0, 8, 0);
    return Number(bytes.readBigUInt64LE());
  };
  await hear("ready");
  return {
    async during(diffDir, action) {
      const before = count();
      writeSync(fd, "1", 8);
      child.stdin.write(`${diffDir}\n`);
      await hear("ready");
      try {
        await action();
        return count() - before;
      } finally {
        writeSync(fd, "0", 8);
        await hear("stopped");
      }
    },
    async [Symbol.asyncDispose]() {
      child.kill();
      await ended;
      closeSync(fd);
    },
  };
}
