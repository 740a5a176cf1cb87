import { access, readdir, stat } from "node:fs/promises";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { openCliWorld } from "./support/cli-world.ts";

const sh = (script: string): readonly string[] => ["sh", "-c", script, "sh"];

/** Runs the command into a pipe whose reader has gone before it begins. */
const intoNothing = (folder: string, redirection: string): string =>
  `mkfifo ${folder}/gate; exec 4>&2
  { cat ${folder}/gate; "$@" ${redirection}; echo "ended with $?" >&4; } |
  { exec 0<&-; : >${folder}/gate; }; rm ${folder}/gate`;

describe("A05: output", () => {
  test("that a full disk does not take is a failure, for want of space", async () => {
    await using world = await openCliWorld();
    const { code, stderr } = await world.run(["images"], { wrap: sh('"$@" >/dev/full') });
    expect(code).toBe(9);
    expect(stderr).toMatch(/^stowage: .*ENOSPC/);
  });

  test("whose reader has left ends the command as SIGPIPE would, without a word", async () => {
    await using world = await openCliWorld();
    for (const args of [["--help"], ["version"]]) {
      const { stderr } = await world.run(args, { wrap: sh(intoNothing(world.path, "")) });
      expect(stderr).toBe("ended with 141\n");
    }
  });

  test("that nobody reads on stderr does not change the exit code", async () => {
    await using world = await openCliWorld();
    for (const target of ["/dev/full", "&-"]) {
      const wrap = sh(`"$@" 2>${target}`);
      expect(await world.run(["inspect", "none"], { wrap }), target).toMatchObject({ code: 3 });
    }
    const wrap = sh(intoNothing(world.path, "2>&1 >/dev/null"));
    expect((await world.run(["inspect", "none"], { wrap })).stderr).toBe("ended with 3\n");
  });

  test("into closed streams, and from a closed input, is no crash", async () => {
    await using world = await openCliWorld();
    const wrap = sh('"$@" <&- >&- 2>&-');
    expect(await world.run(["images"], { wrap })).toMatchObject({ code: 0 });
    expect(await world.run(["policy", "init"], { wrap })).toMatchObject({ code: 2 });
  });
});

describe("A07: a folder, a user, a process that is not as usual", () => {
  test("a current folder that is gone is no matter", async () => {
    await using world = await openCliWorld();
    const wrap = sh(`mkdir ${world.path}/gone; cd ${world.path}/gone; rmdir ../gone; "$@"`);
    expect(await world.run(["images"], { wrap })).toMatchObject({ code: 0, stderr: "" });
    expect(await world.run(["--root", "x", "images"], { wrap })).toMatchObject({ code: 2 });
  });

  test("few descriptors are enough to pull", async () => {
    await using world = await openCliWorld();
    const wrap = sh('ulimit -n 64; "$@"');
    const { code } = await world.run(["pull", "--tls-verify=false", world.image], { wrap });
    expect(code).toBe(0);
  });

  test.for(["0777", "0000"])("umask %s makes a store that is its owner's alone", async (umask) => {
    await using world = await openCliWorld();
    const wrap = sh(`umask ${umask}; "$@"`);
    const { code } = await world.run(["pull", "--tls-verify=false", world.image], { wrap });
    expect(code).toBe(0);
    const root = join(world.path, "root");
    for (const name of ["", ...(await readdir(root))]) {
      const file = await stat(join(root, name));
      expect((file.mode & 0o777).toString(8), name).toBe(file.isDirectory() ? "700" : "600");
    }
  });

  test.runIf(process.getuid?.() === 0)(
    "a user without a home is told what to give (takes root, to become another)",
    async () => {
      await using world = await openCliWorld();
      const wrap = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
      const env = { HOME: undefined, STOWAGE_ROOT: undefined, STOWAGE_RUN_ROOT: undefined };
      const { code, stderr } = await world.run(["images"], { wrap, env });
      expect(code).toBe(2);
      expect(stderr).toContain("--root");
    },
  );
});

test("A03: a password on the command line is refused, and not said again", async () => {
  await using world = await openCliWorld();
  for (const args of [["--creds=user:hunter2"], ["--creds", "user:hunter2"], ["-p=hunter2"]]) {
    for (const format of ["text", "json"]) {
      const { code, stderr } = await world.run(["--format", format, "pull", ...args, "a"]);
      expect([code, stderr.includes("hunter2")]).toEqual([2, false]);
    }
  }
});

test("A06: an odd locale, time zone and NODE_PATH change nothing", async () => {
  await using world = await openCliWorld();
  const env = { LC_ALL: "xx_XX", TZ: "Nowhere/At_All", NODE_PATH: "/nowhere", COLUMNS: "-1" };
  const { code, stdout } = await world.run(["pull", "--tls-verify=false", world.image], { env });
  expect([code, stdout]).toEqual([0, `${world.host}/shell@${world.digest}\n`]);
});

test("A09: whoever waits for credentials can be told to stop", async () => {
  await using world = await openCliWorld();
  const args = ["pull", "--tls-verify=false", "--creds-stdin", world.image];
  const pull = world.start(args, { input: null });
  await pull.untilReading();
  pull.kill("SIGINT");
  expect(await pull.outcome).toMatchObject({ code: 130, stdout: "" });
});

describe("--format json", () => {
  test("says nothing but the failure on stderr, whatever happened before it", async () => {
    await using world = await openCliWorld();
    await world.put("bad", "1", {
      layers: [{ entries: [{ name: "../../escape", content: "x" }] }],
    });
    const pull = ["--format", "json", "pull", "--tls-verify=false", `${world.host}/bad:1`];
    const { code, stdout, stderr } = await world.run(pull);
    expect([code, stdout]).toEqual([8, ""]);
    expect(JSON.parse(stderr)).toMatchObject({
      error: {
        code: expect.stringMatching(/^ERR_/),
        message: expect.any(String),
        causes: expect.any(Array),
      },
    });
    await expect(access(join(world.path, "escape"))).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("writes a warning as a line of JSON", async () => {
    await using world = await openCliWorld();
    await world.put("arm", "1", {
      layers: [],
      config: {},
      platform: { os: "linux", architecture: "s390x" },
    });
    const pull = ["--format", "json", "pull", "--tls-verify=false", `${world.host}/arm:1`];
    const { code, stderr } = await world.run(pull);
    expect(code).toBe(0);
    expect(JSON.parse(stderr)).toEqual({ warning: { message: expect.stringContaining("s390x") } });
  });

  test("is not asked for by an argument of the process", async () => {
    await using world = await openCliWorld();
    const run = ["run", "none", "--", "sh", "--format", "json"];
    expect((await world.run(run)).stderr).toMatch(/^stowage: |\nstowage: /);
  });
});

test("a policy file that was named is named again by the command that mends it", async () => {
  await using world = await openCliWorld();
  const file = join(world.path, "odd name.json");
  const pull = ["--policy", file, "pull", "--tls-verify=false", world.image];
  const refused = await world.run(pull);
  expect(refused.code).toBe(7);
  const [, command = ""] = /`stowage (.*)`/.exec(refused.stderr) ?? [];
  const mend = await world.run(["--trust", world.host], {
    wrap: ["sh", "-c", `main="$1 $2"; shift 2; $main ${command} "$@"`, "sh"],
  });
  expect(mend).toMatchObject({ code: 0, stdout: `${file}\n` });
  expect(await world.run(pull)).toMatchObject({ code: 0 });
});
