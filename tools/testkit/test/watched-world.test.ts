import { spawn } from "node:child_process";
import { channel } from "node:diagnostics_channel";
import { once } from "node:events";
import { open, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";

import { hasPeer, type WatchedWorld, watchWorld } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

const SECRET = "canary secret/1";
const OPTIONS = { secrets: [SECRET], channels: ["stowage.test"] };

describe.runIf(hasPeer("getfattr"))("a watched world (if getfattr is installed)", () => {
  test("is content with a case that keeps the rules", async () => {
    await using world = await watchWorld(OPTIONS);
    world.note(new Error("a canary"));
    await writeFile(join(world.place, "file"), "a canary");
  });

  test.for<[string, (world: WatchedWorld) => unknown]>([
    ["an error's cause", ({ note }) => note(new Error("a", { cause: new Error(SECRET) }))],
    ["a property of an error", ({ note }) => note(Object.assign(new Error("a"), { url: SECRET }))],
    ["what toJSON gives away", ({ note }) => note({ toJSON: () => SECRET })],
    ["base64", ({ note }) => note({ header: Buffer.from(SECRET).toString("base64") })],
    ["a URL", ({ note }) => note(`http://x/?a=${encodeURIComponent(SECRET)}`)],
    ["what is printed", () => process.stderr.write(`${SECRET}\n`)],
    ["what is published", () => channel("stowage.test").publish({ text: SECRET })],
    ["a file", ({ place }) => writeFile(join(place, "file"), SECRET)],
    ["a file's name", ({ place }) => writeFile(join(place, SECRET.replace("/", "-")), "")],
    ["the canary, written to", ({ canary }) => writeFile(canary.file, "x")],
  ])("tells of %s", async ([what, breach]) => {
    const secrets = [what === "a file's name" ? SECRET.replace("/", "-") : SECRET];
    const world = await watchWorld({ ...OPTIONS, secrets });
    await breach(world);
    await expect(world[Symbol.asyncDispose]()).rejects.toThrow(/^(?:S0|W0) /u);
  });

  test("tells of a secret in the command line of a child", async () => {
    const world = await watchWorld(OPTIONS);
    const child = spawn("sh", ["-c", "read line; exit", "sh", SECRET]);
    await once(child, "spawn");
    const ended = expect(world[Symbol.asyncDispose]()).rejects.toThrow(/^S0 /u);
    child.kill("SIGKILL");
    await ended;
  });

  test("tells of a socket and of a file that are left open", async () => {
    const world = await watchWorld(OPTIONS);
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const file = await open(join(world.place, "file"), "w");
    await expect(world[Symbol.asyncDispose]()).rejects.toThrow(/M0 open: socket.*M0 open: \/tmp/su);
    server.close();
    await file.close();
  });
});
