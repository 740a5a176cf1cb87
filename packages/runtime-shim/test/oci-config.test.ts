import type { ImageConfig, ImageExecution } from "@stowage/content";
import { createOciConfig, USER_ANNOTATION } from "@stowage/runtime-shim";
import { describe, expect, test } from "vitest";

const ID = "0123456789ab".padEnd(64, "0");

describe("createOciConfig", () => {
  test("is this, for an image that says nothing but its command (V70)", () => {
    expect(createOciConfig(ID, imageOf({ Cmd: ["/bin/sh"] }))).toMatchSnapshot();
  });

  test.for([
    ["the image's entry point and command", { Entrypoint: ["/e"], Cmd: ["c"] }, {}, ["/e", "c"]],
    [
      "a command after the entry point",
      { Entrypoint: ["/e"], Cmd: ["c"] },
      { command: ["x"] },
      ["/e", "x"],
    ],
    [
      "another entry point, without the image's command",
      { Entrypoint: ["/e"], Cmd: ["c"] },
      { entrypoint: ["/f"] },
      ["/f"],
    ],
    [
      "no command at all after the entry point",
      { Entrypoint: ["/e"], Cmd: ["c"] },
      { command: [] },
      ["/e"],
    ],
  ] as const)("runs %s", ([, image, options, args]) => {
    expect(createOciConfig(ID, imageOf(image), options).process.args).toEqual(args);
  });

  test("refuses to run nothing", () => {
    expect(() => createOciConfig(ID, imageOf({}))).toThrow(
      expect.objectContaining({ code: "ERR_RUNTIME_NO_COMMAND" }),
    );
  });

  test("has a PATH unless the image has one, and the caller's value of each variable", () => {
    const image = imageOf({ Cmd: ["/c"], Env: ["PATH=/p", "A=1", "B=2", "nonsense", "=x"] });
    const { env } = createOciConfig(ID, image, { env: ["A=3", "B", "C=x=y"] }).process;
    expect(env).toEqual(["PATH=/p", "A=3", "C=x=y"]);
  });

  test.for([
    ["", "/"],
    ["../..", "/"],
    ["srv/www", "/srv/www"],
    ["/a/./b/../c", "/a/c"],
    ["/procedures", "/procedures"],
  ] as const)("M26 V64: cleans the working directory %j to %j", ([WorkingDir, cwd]) => {
    expect(createOciConfig(ID, imageOf({ Cmd: ["/c"], WorkingDir })).process.cwd).toBe(cwd);
  });

  test.for(["/proc/self/fd/9", "/proc", "/x/../proc/1/cwd"])(
    "V64: refuses the working directory %j",
    (WorkingDir) => {
      expect(() => createOciConfig(ID, imageOf({ Cmd: ["/c"], WorkingDir }))).toThrow(
        expect.objectContaining({ code: "ERR_RUNTIME_INVALID_PROCESS" }),
      );
    },
  );

  test.for([
    "4294967295",
    "4294967296",
    "99999999999999999999",
    "-1",
    "1e3",
    "root:x:y",
    ":",
    "a:",
    "a b",
    "a\nb",
  ])("M27 V69: refuses the user %j when the template is made", (User) => {
    expect(() => createOciConfig(ID, imageOf({ Cmd: ["/c"], User }))).toThrow(
      expect.objectContaining({ code: "ERR_RUNTIME_INVALID_USER" }),
    );
  });

  test("belongs to nobody until a start has looked its user up", () => {
    const { process, annotations } = createOciConfig(ID, imageOf({ Cmd: ["/c"], User: "www" }));
    expect(process.user).toEqual({ uid: 65_534, gid: 65_534, umask: 0o022 });
    expect(annotations).toEqual({ [USER_ANNOTATION]: "www" });
  });

  test("V67: takes nothing over from an image's labels", () => {
    const image = imageOf({ Cmd: ["/c"], Labels: { [USER_ANNOTATION]: "root", "run.oci.x": "y" } });
    expect(createOciConfig(ID, image).annotations).toEqual({ [USER_ANNOTATION]: "" });
  });

  test("V24: two containers of one image share nothing that one could change", () => {
    const image = imageOf({ Cmd: ["/c"], Env: ["A=1"] });
    const first = createOciConfig(ID, image, { env: ["B=2"] });
    expect(createOciConfig(ID, image).process.env).not.toContain("B=2");
    expect(first.process.env).toContain("B=2");
    expect(image.config?.Env).toEqual(["A=1"]);
  });

  test("keeps the host's network only when told", () => {
    const image = imageOf({ Cmd: ["/c"] });
    const namespaces = (network: "none" | "host"): readonly string[] =>
      createOciConfig(ID, image, { network }).linux.namespaces.map(({ type }) => type);
    expect(namespaces("none")).toContain("network");
    expect(namespaces("host")).not.toContain("network");
  });
});

function imageOf(config: ImageExecution): ImageConfig {
  return { config, rootfs: { type: "layers", diff_ids: [] } };
}
