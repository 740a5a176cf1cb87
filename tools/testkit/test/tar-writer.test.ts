import { execFileSync } from "node:child_process";

import { createTar } from "@stowage/testkit";
import { expect, test } from "vitest";

test("writes what GNU tar reads", () => {
  const tar = createTar([
    { name: "a/", type: "directory", mode: 0o700 },
    { name: "a/file", content: "hello", uid: 7, gid: 8, mtime: 86_400 },
    { name: "a/link", type: "symlink", linkName: "file" },
    { name: "a/twin", type: "hard-link", linkName: "a/file" },
  ]);
  const listed = execFileSync("tar", ["--utc", "--numeric-owner", "-tvf", "-"], {
    input: tar,
    encoding: "utf8",
  });
  expect(listed.split("\n").map((line) => line.replaceAll(/ +/g, " "))).toEqual([
    "drwx------ 0/0 0 1970-01-01 00:00 a/",
    "-rw-r--r-- 7/8 5 1970-01-02 00:00 a/file",
    "lrw-r--r-- 0/0 0 1970-01-01 00:00 a/link -> file",
    "hrw-r--r-- 0/0 0 1970-01-01 00:00 a/twin link to a/file",
    "",
  ]);
});

test("refuses a name that the format has no room for", () => {
  expect(() => createTar([{ name: "n".repeat(101) }])).toThrow(RangeError);
});
