import { execFile } from "node:child_process";
import { chmod, mkdir, rename, stat, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

import { digestOf } from "@stowage/content";
import {
  createPolicyEvaluator,
  loadPolicy,
  MAX_POLICY_BYTES,
  type PolicyError,
  policyPaths,
} from "@stowage/policy";
import { parseReference } from "@stowage/reference";
import { tempDir } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { asNobody } from "./support/as-nobody.ts";
import { temporaryDirectory } from "./support/temporary-directory.ts";

const REJECT = '{"default":[{"type":"reject"}]}';
const ACCEPT = '{"default":[{"type":"insecureAcceptAnything"}]}';

describe("loadPolicy", () => {
  test("reads the file that is named, and no other", async () => {
    await using world = await createWorld();
    const path = await world.write("own.json", REJECT);
    await world.write("home/.config/containers/policy.json", ACCEPT);
    expect(await loadPolicy({ ...world.options, path })).toEqual({
      file: path,
      digest: digestOf(new TextEncoder().encode(REJECT)),
      modified: (await stat(path)).mtime,
      policy: { default: [{ type: "reject" }], transports: {} },
      warnings: [],
    });
  });

  test("prefers the user's file to the system's", async () => {
    await using world = await createWorld();
    const system = await world.write("etc/policy.json", ACCEPT);
    expect((await loadPolicy(world.options)).file).toBe(system);
    const user = await world.write("home/.config/containers/policy.json", REJECT);
    expect((await loadPolicy(world.options)).file).toBe(user);
  });

  test("P13 a namespace's own policy goes before all others, and where it has none, nothing changes", async () => {
    await using world = await createWorld();
    const usual = await world.write("home/.config/containers/policy.json", ACCEPT);
    const own = await world.write("tenants/blue.json", REJECT);
    const directory = join(world.path, "tenants");
    const load = (name: string, more: object = {}) =>
      loadPolicy({ ...world.options, ...more, namespace: { directory, name } });
    expect((await load("blue")).file).toBe(own);
    expect((await load("blue", { path: usual })).file).toBe(own);
    expect((await load("green")).file).toBe(usual);
    const none = { directory: join(world.path, "none"), name: "blue" };
    expect((await loadPolicy({ ...world.options, namespace: none })).file).toBe(usual);
  });

  test.for(["", ".", "..", "../../etc/x", "a/b", "/etc/x", "ns\0", ".hidden", "a".repeat(254)])(
    "P13 %j is no namespace",
    async (name) => {
      await using world = await createWorld();
      await world.write("home/.config/containers/policy.json", ACCEPT);
      const namespace = { directory: join(world.path, "tenants"), name };
      await expect(loadPolicy({ ...world.options, namespace })).rejects.toMatchObject({
        code: "ERR_POLICY_INVALID_ARGUMENT",
        kind: "InvalidArgument",
      });
    },
  );

  test("P13 a directory of namespaces that is not there is warned of", async () => {
    await using world = await createWorld();
    const path = await world.write("p.json", REJECT);
    const load = (directory: string) => loadPolicy({ path, namespace: { directory, name: "a" } });
    expect((await load(world.path)).warnings).toEqual([]);
    const gone = join(world.path, "gone");
    expect((await load(gone)).warnings).toEqual([expect.stringMatching(/gone: is not there/)]);
  });

  test("P13 a namespace's policy that cannot be read is not passed over", async () => {
    await using world = await createWorld();
    await world.write("home/.config/containers/policy.json", ACCEPT);
    const directory = join(world.path, "tenants");
    await mkdir(join(directory, "folder.json"), { recursive: true });
    await symlink(join(world.path, "nowhere"), join(directory, "link.json"));
    const file = await world.write("file", "");
    for (const namespace of [
      { directory, name: "folder" },
      { directory, name: "link" },
      { directory: file, name: "blue" },
    ]) {
      await expect(loadPolicy({ ...world.options, namespace })).rejects.toMatchObject({
        code: "ERR_POLICY_UNREADABLE",
      });
    }
  });

  test("P01 names the one command that mends it if there is no file", async () => {
    await using world = await createWorld();
    await expect(loadPolicy(world.options)).rejects.toMatchObject({
      code: "ERR_POLICY_NOT_FOUND",
      kind: "PolicyConfigInvalid",
      message: expect.stringContaining("home/.config/containers/policy.json"),
      hint: expect.stringContaining("`stowage policy init`"),
    });
    const path = join(world.path, "none/policy.json");
    await expect(loadPolicy({ ...world.options, path })).rejects.toMatchObject({
      code: "ERR_POLICY_NOT_FOUND",
      message: expect.stringContaining(path),
    });
  });

  test("P01 does not fall back to the system's file when the user's is broken", async () => {
    await using world = await createWorld();
    await world.write("etc/policy.json", ACCEPT);
    const user = await world.write("home/.config/containers/policy.json", "");
    await expect(loadPolicy(world.options)).rejects.toMatchObject({
      code: "ERR_POLICY_INVALID_CONFIG",
      kind: "PolicyConfigInvalid",
      message: expect.stringContaining(user),
    });
  });

  test("P01 refuses a directory", async () => {
    await using world = await createWorld();
    await expect(loadPolicy({ path: world.path })).rejects.toMatchObject(unreadable());
  });

  test("P01 refuses a FIFO without waiting for a writer", async () => {
    await using world = await createWorld();
    const path = join(world.path, "fifo");
    await promisify(execFile)("mkfifo", [path]);
    await expect(loadPolicy({ path })).rejects.toMatchObject(unreadable());
  });

  test("P01 refuses a device", async () => {
    await expect(loadPolicy({ path: "/dev/zero" })).rejects.toMatchObject(unreadable());
  });

  test("P01 refuses what it cannot open", async () => {
    await using world = await createWorld();
    const path = join(world.path, "loop");
    await symlink("loop", path);
    await expect(loadPolicy({ path })).rejects.toMatchObject(unreadable());
  });

  test("P01 reads up to its limit, and not a byte more", async () => {
    await using world = await createWorld();
    const fits = await world.write("fits.json", REJECT.padEnd(MAX_POLICY_BYTES));
    expect((await loadPolicy({ path: fits })).policy.default).toHaveLength(1);
    const path = await world.write("large.json", REJECT.padEnd(MAX_POLICY_BYTES + 1));
    await expect(loadPolicy({ path })).rejects.toMatchObject({
      code: "ERR_POLICY_INVALID_CONFIG",
      kind: "PolicyConfigInvalid",
    });
  });

  test("says the line and the JSON path of a mistake", async () => {
    await using world = await createWorld();
    const path = await world.write("p.json", '{"default":[{"type":"reject"},{"type":"x"}]}');
    await expect(loadPolicy({ path })).rejects.toThrow(`${path}, line 1: default[1].type is "x"`);
  });

  test("P08, P15 warns of scopes that match nothing and of files that anybody may change", async () => {
    await using world = await createWorld();
    const path = await world.write(
      "open/p.json",
      '{"default":[{"type":"reject"}],"transports":{"docker":{"busybox":[{"type":"reject"}]}}}',
    );
    await chmod(path, 0o666);
    await chmod(dirname(path), 0o777);
    const { warnings } = await loadPolicy({ path });
    expect(warnings).toEqual([
      expect.stringMatching(/busybox.*can match no image/),
      expect.stringMatching(/change this file/),
      expect.stringMatching(`replace this file, .* folder ${dirname(path)}$`),
    ]);
  });

  test("P12 keeps its snapshot when the file is replaced, also by a link", async () => {
    await using world = await createWorld();
    const path = await world.write("p.json", REJECT);
    const { policy, file } = await loadPolicy({ path });
    const { evaluate } = createPolicyEvaluator({ policy, file });
    const subject = { transport: "docker", reference: parseReference("a") } as const;
    await rename(await world.write("other.json", ACCEPT), path);
    expect((await evaluate(subject)).allowed).toBe(false);
    await symlink(await world.write("third.json", ACCEPT), join(world.path, "link"));
    await rename(join(world.path, "link"), path);
    expect((await evaluate(subject)).allowed).toBe(false);
    expect((await loadPolicy({ path })).policy.default[0]?.type).toBe("insecureAcceptAnything");
  });

  test("rejects with the reason of its signal", async () => {
    const reason = new Error("shutting down");
    await expect(loadPolicy({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });
});

test("policyPaths does without a home that is none", () => {
  expect(policyPaths({ env: {} })).toEqual(["/etc/containers/policy.json"]);
  expect(policyPaths({ env: { HOME: "relative" } })).toEqual(["/etc/containers/policy.json"]);
  expect(policyPaths({ env: { HOME: "/h" } })).toEqual([
    "/h/.config/containers/policy.json",
    "/etc/containers/policy.json",
  ]);
  expect(policyPaths({ path: "p", env: { HOME: "/h" } })).toEqual(["p"]);
});

function unreadable(): object {
  return { code: "ERR_POLICY_UNREADABLE", kind: "PolicyConfigInvalid" };
}

async function createWorld() {
  const directory = await temporaryDirectory();
  const { path } = directory;
  return {
    path,
    options: { env: { HOME: join(path, "home") }, systemPath: join(path, "etc/policy.json") },
    async write(name: string, text: string): Promise<string> {
      const file = join(path, name);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, text, { mode: 0o644 });
      return file;
    },
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
}

test("a policy that this user may not read, and one in a closed folder, say what lets it be read", async () => {
  await using folder = await tempDir();
  await chmod(folder.path, 0o755);
  const inner = join(folder.path, "inner");
  await mkdir(inner, { mode: 0o755 });
  const path = join(inner, "policy.json");
  await writeFile(path, JSON.stringify({ default: [{ type: "reject" }] }), { mode: 0o600 });
  const told = () =>
    asNobody(() => loadPolicy({ path }).catch((error: unknown) => error as PolicyError));
  await chmod(path, 0);
  expect(await told()).toMatchObject({
    code: "ERR_POLICY_UNREADABLE",
    hint: expect.stringContaining(`chmod a+r ${path}.`),
  });
  await chmod(inner, 0);
  expect(await told()).toMatchObject({
    code: "ERR_POLICY_UNREADABLE",
    hint: expect.stringContaining(`chmod a+x ${inner}.`),
  });
  await chmod(inner, 0o700);
});
