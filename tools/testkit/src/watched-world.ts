import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "node:util";

import { type CanaryWorld, makeCanaryWorld } from "./canary-world.ts";
import { tempDir } from "./temp-dir.ts";

export interface WatchOptions {
  /** What must be seen nowhere: as it is, in base64, or percent-encoded. */
  readonly secrets?: readonly string[];
  /** The channels of `node:diagnostics_channel` to listen to. */
  readonly channels?: readonly string[];
}

/**
 * The surroundings of a case. Its disposal throws, naming each of these that does not hold: the
 * canary is as it was; no secret was shown, printed, published, or written below `place`, and none
 * stands in the command line of a child; the open sockets, pipes and files are those of before.
 */
export interface WatchedWorld extends AsyncDisposable {
  /** A directory that what is tested may write into. */
  readonly place: string;
  readonly canary: CanaryWorld;
  /** Keeps what somebody was shown: an error with its causes, an event, a line of a log. */
  note(shown: unknown): void;
}

// What is closed takes a turn or two of the event loop until it is gone.
const CLOSING_TIME = 2000;

/** Takes note of how things are; everything else of the case comes after it, and goes before it. */
export async function watchWorld(options: WatchOptions = {}): Promise<WatchedWorld> {
  const { secrets = [], channels = [] } = options;
  const folder = await tempDir("stowage-world-");
  const canary = await makeCanaryWorld(folder.path);
  const place = join(folder.path, "place");
  await mkdir(place);
  const shown: string[] = [];
  const note = (value: unknown): void => void shown.push(textOf(value));
  const hear = (message: unknown): void => note(message);
  for (const channel of channels) subscribe(channel, hear);
  const release = [process.stdout, process.stderr].map((stream) => overhear(stream, note));
  const before = openDescriptors();
  return {
    place,
    canary,
    note,
    async [Symbol.asyncDispose]() {
      for (const channel of channels) unsubscribe(channel, hear);
      for (const restore of release) restore();
      const breaches = [
        ...canary.changes().map((change) => `W0 ${change}`),
        ...secretsIn([...shown, ...commandLines(), ...filesBelow(place)], secrets),
        ...(await leftOpen(before)),
      ];
      await folder[Symbol.asyncDispose]();
      if (breaches.length > 0) throw new Error(breaches.join("\n"));
    },
  };
}

/** All that an error, or anything else, shows to who looks closely: properties, stacks, causes. */
export function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  const looked = inspect(value, { depth: 20, showHidden: true, maxStringLength: null });
  return `${String(value)}\n${looked}\n${jsonOf(value)}`;
}

function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? "";
  } catch {
    // A circle, or what has no JSON; it was looked at by other means.
    return "";
  }
}

function overhear(stream: NodeJS.WriteStream, note: (text: string) => void): () => void {
  const write = stream.write;
  stream.write = (chunk: string | Uint8Array, ...rest: []) => {
    note(Buffer.from(chunk as string).toString());
    return write.call(stream, chunk, ...rest);
  };
  return () => void (stream.write = write);
}

function secretsIn(texts: readonly string[], secrets: readonly string[]): readonly string[] {
  return secrets.flatMap((secret) => {
    const spelled = [secret, base64(secret), encodeURIComponent(secret)];
    const found = texts.find((text) => spelled.some((spelling) => text.includes(spelling)));
    return found === undefined ? [] : [`S0 ${secret} in ${found}`];
  });
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64").replace(/=+$/u, "");
}

function commandLines(): readonly string[] {
  return readdirSync("/proc").flatMap((pid) => {
    if (!/^[0-9]+$/u.test(pid) || !isChild(pid)) return [];
    return ["cmdline", "environ"].map((name) => readOrNothing(`/proc/${pid}/${name}`));
  });
}

function isChild(pid: string): boolean {
  return new RegExp(`^PPid:\\t${process.pid}$`, "mu").test(readOrNothing(`/proc/${pid}/status`));
}

function readOrNothing(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    // It has ended meanwhile.
    return "";
  }
}

function filesBelow(place: string): readonly string[] {
  return readdirSync(place, { recursive: true, withFileTypes: true }).flatMap((entry) => [
    entry.name,
    ...(entry.isFile() ? [readFileSync(join(entry.parentPath, entry.name), "latin1")] : []),
  ]);
}

async function leftOpen(before: ReadonlySet<string>): Promise<readonly string[]> {
  const deadline = performance.now() + CLOSING_TIME;
  for (;;) {
    const more = [...openDescriptors()].filter((descriptor) => !before.has(descriptor));
    if (more.length === 0) return [];
    if (performance.now() > deadline) return more.map((descriptor) => `M0 open: ${descriptor}`);
    await sleep(5);
  }
}

/** The sockets, pipes and files that this process has open; those that code is loaded from aside. */
function openDescriptors(): ReadonlySet<string> {
  return new Set(
    readdirSync("/proc/self/fd").flatMap((fd) => {
      try {
        const target = readlinkSync(`/proc/self/fd/${fd}`);
        return /^(?:socket|pipe):|^\/tmp\//u.test(target) ? [target] : [];
      } catch {
        // The descriptor of this very listing.
        return [];
      }
    }),
  );
}
