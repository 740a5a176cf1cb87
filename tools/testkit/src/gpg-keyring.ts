import { execFile, spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import { requirePeer } from "./peers.ts";
import { tempDir } from "./temp-dir.ts";

/** How a key of a {@link GpgKeyring} is made. */
export interface GpgKeyOptions {
  /** As gpg writes it. @defaultValue `ed25519` */
  readonly algorithm?: string;
  /** As gpg writes it: `1d`, `2030-01-01`. @defaultValue `never` */
  readonly expires?: string;
  /** When the key is said to be made, as `20200131T120000`. @defaultValue now */
  readonly at?: string;
}

/** A real gpg with keys of its own. */
export interface GpgKeyring extends AsyncDisposable {
  /** What `GNUPGHOME` has to be to use it. */
  readonly path: string;
  /** Makes a key that signs, and resolves to its fingerprint. */
  makeKey(name: string, options?: GpgKeyOptions): Promise<string>;
  /** Gives a key a subkey that signs from then on; resolves to the subkey's fingerprint. */
  addSubkey(fingerprint: string, options?: Omit<GpgKeyOptions, "algorithm">): Promise<string>;
  revokeKey(fingerprint: string): Promise<void>;
  /** Revokes the first subkey. */
  revokeSubkey(fingerprint: string): Promise<void>;
  /** The public key, binary or armored. */
  exportKey(fingerprint: string, form?: "armored" | "binary"): Promise<Buffer>;
  /** A message that carries its content, signed. */
  sign(
    fingerprint: string,
    content: Uint8Array | string,
    ...args: readonly string[]
  ): Promise<Buffer>;
  /** Runs gpg as it is. */
  run(args: readonly string[], input?: Uint8Array | string): Promise<Buffer>;
}

/** Makes a keyring. Its agent and its folder go when its scope ends. */
export async function makeGpgKeyring(): Promise<GpgKeyring> {
  const folder = await tempDir("stowage-gpg-");
  const { path } = folder;
  const gpg = requirePeer("gpg");
  const run: GpgKeyring["run"] = (args, input = "") =>
    runWith(gpg, ["--homedir", path, "--batch", "--yes", "--no-tty", ...args], input);
  const unlocked = ["--pinentry-mode", "loopback", "--passphrase", ""];
  const fingerprintOf = async (name: string): Promise<readonly string[]> => {
    const listed = (await run(["--list-keys", "--with-colons", name])).toString();
    return [...listed.matchAll(/^fpr:+([0-9A-F]+):/gm)].map(([, found]) => found ?? "");
  };
  return {
    path,
    run,
    async makeKey(name, { algorithm = "ed25519", expires = "never", at } = {}) {
      const clock = at === undefined ? [] : ["--faked-system-time", at];
      const user = `${name} <${name}@example.com>`;
      await run([...clock, ...unlocked, "--quick-gen-key", user, algorithm, "sign", expires]);
      return (await fingerprintOf(`=${user}`))[0] ?? "";
    },
    async addSubkey(fingerprint, { expires = "never", at } = {}) {
      const clock = at === undefined ? [] : ["--faked-system-time", at];
      const made = ["--quick-add-key", fingerprint, "ed25519", "sign", expires];
      await run([...clock, ...unlocked, ...made]);
      return (await fingerprintOf(fingerprint)).at(-1) ?? "";
    },
    async revokeKey(fingerprint) {
      const file = join(path, "openpgp-revocs.d", `${fingerprint}.rev`);
      const text = await readFile(file, "utf8");
      await writeFile(file, text.replace(/^:(?=-----BEGIN)/m, ""));
      await run(["--import", file]);
    },
    async revokeSubkey(fingerprint) {
      const commands = "key 1\nrevkey\ny\n0\n\ny\nsave\n";
      await run([...unlocked, "--command-fd", "0", "--edit-key", fingerprint], commands);
    },
    exportKey: (fingerprint, form = "armored") =>
      run([...(form === "armored" ? ["--armor"] : []), "--export", fingerprint]),
    sign: (fingerprint, content, ...args) =>
      run([...args, ...unlocked, "--local-user", fingerprint, "--sign"], content),
    async [Symbol.asyncDispose]() {
      await promisify(execFile)("gpgconf", ["--homedir", path, "--kill", "all"]);
      await folder[Symbol.asyncDispose]();
    },
  };
}

async function runWith(
  program: string,
  args: readonly string[],
  input: Uint8Array | string,
): Promise<Buffer> {
  const child = spawn(program, args, { env: { ...process.env, LC_ALL: "C" } });
  const out: Buffer[] = [];
  let err = "";
  child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text));
  // A program that has read enough is no failure of ours.
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  if (code !== 0) throw new Error(`${program} ${args.join(" ")} ended with ${code}: ${err}`);
  return Buffer.concat(out);
}
