import { lstat, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { createPolicyDocument, loadPolicy, writePolicy } from "@stowage/policy";
import { expect, test } from "vitest";

import { temporaryDirectory } from "./support/temporary-directory.ts";

const OURS = createPolicyDocument({ trust: ["q.io"] });
const THEIRS = createPolicyDocument({ trustAll: true });

test("writes what loadPolicy reads, directories and all, and leaves nothing else", async () => {
  await using directory = await temporaryDirectory();
  const path = join(directory.path, "a/b/policy.json");
  await writePolicy(path, OURS);
  expect((await loadPolicy({ path })).warnings).toEqual([]);
  expect(await readdir(join(directory.path, "a/b"))).toEqual(["policy.json"]);
});

test("does not replace a file unless told to", async () => {
  await using directory = await temporaryDirectory();
  const path = join(directory.path, "policy.json");
  await writeFile(path, "by hand");
  await expect(writePolicy(path, OURS)).rejects.toMatchObject({
    code: "ERR_POLICY_FILE_EXISTS",
    kind: "AlreadyExists",
    hint: expect.stringContaining("--force"),
  });
  expect(await readFile(path, "utf8")).toBe("by hand");
  await writePolicy(path, OURS, { overwrite: true });
  expect(await readFile(path, "utf8")).toBe(OURS);
  expect(await readdir(directory.path)).toEqual(["policy.json"]);
});

test("does not follow a link that stands in its place", async () => {
  await using directory = await temporaryDirectory();
  const [path, target] = [join(directory.path, "policy.json"), join(directory.path, "target")];
  await symlink(target, path);
  await expect(writePolicy(path, OURS)).rejects.toMatchObject({ code: "ERR_POLICY_FILE_EXISTS" });
  await writePolicy(path, OURS, { overwrite: true });
  expect((await lstat(path)).isFile()).toBe(true);
  await expect(lstat(target)).rejects.toMatchObject({ code: "ENOENT" });
});

test("of many who write at once, exactly one does", async () => {
  await using directory = await temporaryDirectory();
  const path = join(directory.path, "policy.json");
  const texts = Array.from({ length: 16 }, (_, at) => (at % 2 === 0 ? OURS : THEIRS));
  const results = await Promise.allSettled(texts.map((text) => writePolicy(path, text)));
  const winners = texts.filter((_, at) => results[at]?.status === "fulfilled");
  expect(winners).toEqual([await readFile(path, "utf8")]);
  expect(await readdir(directory.path)).toEqual(["policy.json"]);
});

test("writes no text that is no policy", async () => {
  await using directory = await temporaryDirectory();
  await expect(writePolicy(join(directory.path, "p"), "{}")).rejects.toMatchObject({
    code: "ERR_POLICY_INVALID_CONFIG",
  });
  expect(await readdir(directory.path)).toEqual([]);
});

test("says so when the system refuses", async () => {
  await using directory = await temporaryDirectory();
  await writeFile(join(directory.path, "file"), "");
  const path = join(directory.path, "file/sub/policy.json");
  await expect(writePolicy(path, OURS)).rejects.toMatchObject({
    code: "ERR_POLICY_NOT_WRITTEN",
    kind: "StoreIo",
    cause: { code: "ENOTDIR" },
  });
});

test("writes nothing once its signal has fired, and rejects with the reason", async () => {
  await using directory = await temporaryDirectory();
  const reason = new Error("shutting down");
  const signal = AbortSignal.abort(reason);
  await expect(writePolicy(join(directory.path, "p"), OURS, { signal })).rejects.toBe(reason);
  expect(await readdir(directory.path)).toEqual([]);
});
