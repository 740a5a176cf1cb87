/**
 * Runs cases in a network of its own, as `unshare --net --mount` gives it: no neighbour notices
 * what is done to it. Prints what came of each, as JSON.
 */
import { execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { digestOf, errorKind } from "@stowage/content";
import { parseRepository } from "@stowage/reference";
import { createRegistryClient, type RegistryEvent } from "@stowage/registry";
import { startFaultyRegistry, tempDir } from "@stowage/testkit";

import { goodAnswer } from "./good-answer.ts";
import { makeImage } from "./images.ts";

type Answer = "none" | "nxdomain" | "servfail" | readonly string[];

const DNS: Readonly<Record<string, Answer>> = {
  nxdomain: "nxdomain",
  servfail: "servfail",
  timeout: "none",
  "mirror-nxdomain": "nxdomain",
  "wrong-first": ["127.0.0.9", "127.0.0.1"],
  "ipv6-blackhole": ["::1", "127.0.0.1"],
};

const run = (program: string, ...args: string[]) => execFileSync(program, args, { stdio: "pipe" });
run("ip", "link", "set", "lo", "up");
await using folder = await tempDir();
const resolver = join(folder.path, "resolv.conf");
writeFileSync(resolver, "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n");
run("mount", "--bind", resolver, "/etc/resolv.conf");
const found: Record<string, unknown> = {};
try {
  for (const name of process.argv.slice(2)) {
    const started = performance.now();
    const outcome = await runCase(name);
    const milliseconds = performance.now() - started;
    found[name] = { ...outcome, milliseconds, dropped: countDropped() };
    run("iptables", "-F");
    run("ip6tables", "-F");
  }
} finally {
  run("umount", "/etc/resolv.conf");
}
process.stdout.write(JSON.stringify(found));

async function runCase(what: string) {
  const image = makeImage([300_000]);
  await using registry = await startFaultyRegistry({
    name: "registry.test",
    script: async (request) => {
      if (what === "link-down" && registry.requests.length === 2) setTimeout(pauseLink, 0);
      return {
        ...goodAnswer(image, request),
        ...(what === "link-down" && { do: [{ throttle: 300_000 }] }),
      };
    },
  });
  await using mirror = await startFaultyRegistry({
    address: "127.0.0.2",
    script: (request) => goodAnswer(image, request),
  });
  await using _dns = await startDns(DNS[what] ?? ["127.0.0.1"]);
  if (what === "loss") {
    const rule = "INPUT -p tcp -m statistic --mode random --probability 0.2 -j DROP";
    run("iptables", "-A", ...rule.split(" "));
  }
  if (what === "ipv6-blackhole") run("ip6tables", "-A", "OUTPUT", "-p", "tcp", "-j", "DROP");
  const events: RegistryEvent[] = [];
  await using client = createRegistryClient({
    plainHttp: true,
    retryDelay: 50,
    attempts: 2,
    onEvent: (event) => events.push(event),
    mirrors: () =>
      what.startsWith("mirror-")
        ? [{ repository: parseRepository(`absent.test:5000/team/app`) }]
        : [],
  });
  const host = what.startsWith("mirror-") ? mirror.host : registry.host;
  const repository = client.repository(parseRepository(`${host}/team/app`));
  const [, layer] = image.blobs;
  if (layer === undefined) throw new Error("no layer");
  try {
    await repository.fetchManifest(digestOf(image.manifest));
    const read = Buffer.concat(await Array.fromAsync(repository.openContent(layer.descriptor)));
    return {
      kind: "success",
      whole: read.equals(layer.bytes),
      events: events.map(({ type }) => type),
    };
  } catch (error) {
    return {
      kind: errorKind(error),
      message: (error as Error).message,
      events: events.map(({ type }) => type),
    };
  }
}

function pauseLink(): void {
  run("ip", "link", "set", "lo", "down");
  setTimeout(() => run("ip", "link", "set", "lo", "up"), 700);
}

/** Packets that the rules of `loss` have taken away. */
function countDropped(): number {
  const table = run("iptables", "-nvxL", "INPUT").toString();
  return Number(/^\s*(\d+)\s+\d+\s+DROP\b/mu.exec(table)?.[1] ?? 0);
}

/** A name server that gives every name the same addresses, or the same trouble. */
async function startDns(answer: Answer): Promise<AsyncDisposable> {
  const socket = createSocket("udp4");
  socket.on("message", (query, { port, address }) => {
    const reply = replyTo(query, answer);
    if (reply !== undefined) socket.send(reply, port, address);
  });
  socket.bind(53, "127.0.0.1");
  await once(socket, "listening");
  return {
    async [Symbol.asyncDispose]() {
      socket.close();
    },
  };
}

function replyTo(query: Buffer, answer: Answer): Buffer | undefined {
  if (answer === "none") return undefined;
  const end = query.indexOf(0, 12) + 5;
  const isIPv6 = query.readUInt16BE(end - 4) === 28;
  const addresses =
    typeof answer === "string" ? [] : answer.filter((one) => one.includes(":") === isIPv6);
  const header = Buffer.from(query.subarray(0, 12));
  const code = answer === "nxdomain" ? 3 : answer === "servfail" ? 2 : 0;
  header.writeUInt16BE(0x8180 | code, 2);
  header.writeUInt16BE(addresses.length, 6);
  header.writeUInt32BE(0, 8);
  const records = addresses.map((address) => {
    const bytes = isIPv6
      ? Buffer.concat([Buffer.alloc(15), Buffer.of(1)])
      : Buffer.from(address.split(".").map(Number));
    const record = Buffer.from([0xc0, 12, 0, isIPv6 ? 28 : 1, 0, 1, 0, 0, 0, 0, 0, bytes.length]);
    return Buffer.concat([record, bytes]);
  });
  return Buffer.concat([header, query.subarray(12, end), ...records]);
}
