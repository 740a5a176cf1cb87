import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

import {
  checkPolicy,
  checkPolicyKeys,
  createPolicyEvaluator,
  loadRegistriesD,
  parsePolicy,
} from "@stowage/policy";
import { parseReference } from "@stowage/reference";
import { tempDir } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { asNobody } from "./support/as-nobody.ts";

interface Refused {
  readonly message: string;
  readonly hint: string;
}

async function refusalOf(directory: string): Promise<Refused> {
  const refused = await loadRegistriesD({ directory }).catch((error: unknown) => error);
  expect(refused).toMatchObject({ code: "ERR_POLICY_INVALID_REGISTRIES_D" });
  return refused as Refused;
}

describe("what is said of a registries.d that is none is enough to mend it", () => {
  test.for([
    [
      "docker: {q.io: {lookaside: file:///one}}",
      "one has the lookaside file:///one, the other file:///two",
    ],
    ["docker: {q.io: {use-sigstore-attachments: true, lookaside: file:///two}}", undefined],
  ] as const)("a section of two files that say %j and another thing", async ([text, differ]) => {
    await using folder = await tempDir();
    await writeFile(join(folder.path, "a.yaml"), text);
    const second = "docker: {q.io: {lookaside: file:///two, use-sigstore-attachments: true}}";
    await writeFile(join(folder.path, "b.yaml"), second);
    const { hint } = await refusalOf(folder.path);
    if (differ === undefined) expect(hint).toContain("Merge the two");
    else expect(hint).toContain(`The two differ: ${differ}. Keep the right one in`);
    expect(hint).toContain(`remove it from ${join(folder.path, "b.yaml")}.`);
  });

  test("two files that do not agree whether to look beside images", async () => {
    await using folder = await tempDir();
    for (const [name, value] of [
      ["a", true],
      ["b", false],
    ] as const)
      await writeFile(
        join(folder.path, `${name}.yaml`),
        `default-docker: {use-sigstore-attachments: ${value}}`,
      );
    expect((await refusalOf(folder.path)).hint).toContain("the other false. Keep the right one");
  });

  test.for([
    [
      "file:///one",
      "file:///two",
      "The two differ, and only one can be meant: remove lookaside: of line 3, or that of line 4",
    ],
    ["file:///one", "file:///one", "Remove lookaside: of line 4: the two say the same."],
  ] as const)("a key twice in one section: %s and %s", async ([one, other, words]) => {
    await using folder = await tempDir();
    const text = `docker:\n  q.io:\n    lookaside: ${one}\n    lookaside: ${other}\n`;
    await writeFile(join(folder.path, "a.yaml"), text);
    const { hint } = await refusalOf(folder.path);
    expect(hint).toContain(words);
    expect(hint).not.toMatch(/\bmove\b/);
  });

  test("a section twice in one file is merged", async () => {
    await using folder = await tempDir();
    await writeFile(join(folder.path, "a.yaml"), "docker:\n  q.io: {}\n  q.io: {lookaside: x}\n");
    expect((await refusalOf(folder.path)).hint).toContain("move what is below q.io: in line 3");
  });

  test("a folder in it, whose files are to be moved", async () => {
    await using folder = await tempDir();
    const directory = join(folder.path, "d");
    await mkdir(join(directory, "sub"), { recursive: true });
    const policy = parsePolicy('{"default":[{"type":"reject"}]}');
    const registriesD = await loadRegistriesD({ directory });
    expect(await checkPolicy(policy, { registriesD })).toMatchObject([
      {
        path: `${join(directory, "sub")}/`,
        problem: "is not read: it is a folder",
        remedy: expect.stringContaining(`Move its files to ${directory} if they are meant`),
      },
    ]);
    await mkdir(join(directory, "sub.yaml"));
    const { message, hint } = await refusalOf(directory);
    expect(message).toContain("sub.yaml: is a folder, and no file");
    expect(hint).toContain(`move its files to ${directory}, and remove it`);
  });

  test("one that is not there, and a file in place of it", async () => {
    await using folder = await tempDir();
    const none = join(folder.path, "none");
    expect((await refusalOf(none)).hint).toContain(`mkdir -p ${none}`);
    await writeFile(none, "");
    const { message, hint } = await refusalOf(none);
    expect(message).toBe(`${none}: is a file, and no folder`);
    expect(hint).toContain(`Name the folder that has the files: ${folder.path}`);
  });

  test("what may not be read is to be opened, be it a file or a folder", async () => {
    await using folder = await tempDir();
    await chmod(folder.path, 0o755);
    const [directory, file] = [join(folder.path, "d"), join(folder.path, "d/a.yaml")];
    await mkdir(directory);
    await writeFile(file, "docker: {}");
    for (const [path, mode, change] of [
      [file, 0o644, `chmod a+r ${file}.`],
      [directory, 0o755, `chmod a+rx ${directory}.`],
    ] as const) {
      await chmod(path, 0);
      const { message, hint } = await asNobody(() => refusalOf(directory));
      expect(message).toBe(`${path}: may not be read by whoever this runs as`);
      expect(hint).toContain(change);
      await chmod(path, mode);
    }
    await asNobody(() => loadRegistriesD({ directory }));
  });
});

test("a key that may not be read is to be opened, or the folder that forbids it", async () => {
  await using folder = await tempDir();
  await chmod(folder.path, 0o755);
  const [directory, keyPath] = [join(folder.path, "keys"), join(folder.path, "keys/k.asc")];
  await mkdir(directory);
  await writeFile(keyPath, "no key");
  const requirement = { type: "signedBy", keyType: "GPGKeys", keyPath };
  const { evaluate } = createPolicyEvaluator({
    policy: parsePolicy(JSON.stringify({ default: [requirement] })),
  });
  const subject = { transport: "docker", reference: parseReference("q.io/a:1") } as const;
  const remedyOf = async (): Promise<string> =>
    (await asNobody(() => evaluate(subject))).requirements[0]?.remedy ?? "";
  await chmod(keyPath, 0);
  expect(await remedyOf()).toContain(`let it be read: chmod a+r ${keyPath}.`);
  const checked = await asNobody(() =>
    checkPolicyKeys(parsePolicy(JSON.stringify({ default: [requirement] }))),
  );
  expect(checked).toMatchObject([{ remedy: expect.stringContaining(`chmod a+r ${keyPath}`) }]);
  await chmod(directory, 0o600);
  expect(await remedyOf()).toContain(
    `which its folder ${directory} forbids: chmod a+x ${directory}.`,
  );
  await chmod(directory, 0o755);
  await chmod(keyPath, 0o644);
  expect(await remedyOf()).toContain("Put there what the policy says");
});
