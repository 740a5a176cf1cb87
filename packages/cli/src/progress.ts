import type { PullProgress } from "@stowage/runtime-shim";

import type { CommandContext } from "./command.ts";
import { formatSize, shortId } from "./table.ts";

/** Shows a pull on stderr: bars on a terminal, lines elsewhere. */
export interface ProgressView extends Disposable {
  readonly onProgress: (event: PullProgress) => void;
}

/** Only warnings with `--quiet`, `--no-progress` and `--format json`. */
export async function createProgressView(context: CommandContext): Promise<ProgressView> {
  const { options, stderr } = context;
  if (options.quiet || !options.progress || options.format === "json") return onlyWarnings(context);
  return stderr.isTTY ? await createBars(context) : createLines(context);
}

function onlyWarnings(context: CommandContext): ProgressView {
  return {
    onProgress(event) {
      if (event.type === "warning") context.warn(event.message);
    },
    [Symbol.dispose]: () => {},
  };
}

function createLines(context: CommandContext): ProgressView {
  return {
    onProgress(event) {
      const line = lineOf(event);
      if (line !== undefined) context.tell(line);
      else if (event.type === "warning") context.warn(event.message);
    },
    [Symbol.dispose]: () => {},
  };
}

function lineOf(event: PullProgress): string | undefined {
  switch (event.type) {
    case "resolved":
      return `resolved ${event.canonical}: ${event.layers} layers, ${formatSize(event.bytes)}`;
    case "blob-done":
      return `fetched  ${shortId(event.digest)}  ${formatSize(event.size)}${fromOf(event)}`;
    case "blob-start":
      return event.received === 0
        ? undefined
        : `resuming ${shortId(event.digest)}  at ${formatSize(event.received)} of ${formatSize(event.size)}`;
    case "blob-follow":
      return `waiting  ${shortId(event.digest)}  another pull is fetching it`;
    case "blob-restart":
      return `again    ${shortId(event.digest)}  what came was not to be gone on with`;
    case "layer-exists":
      return `present  ${shortId(event.digest)}`;
    case "unpack-done":
      return `unpacked ${shortId(event.digest)}`;
    case "stored":
      return `stored   ${event.name}`;
    case "blob-exists":
    case "blob-progress":
    case "unpack-progress":
    case "unpack-start":
    case "warning":
      return undefined;
    default:
      return event satisfies never;
  }
}

function fromOf({ source }: { readonly source?: string }): string {
  return source === undefined ? "" : `  from ${source}`;
}

async function createBars(context: CommandContext): Promise<ProgressView> {
  const { default: cliProgress } = await import("cli-progress");
  const bars = new cliProgress.MultiBar({
    stream: context.stderr,
    clearOnComplete: false,
    hideCursor: true,
    format: "{step} {id} [{bar}] {percentage}%",
    barsize: 32,
  });
  const shown = new Map<string, ReturnType<typeof bars.create>>();
  const update = (digest: string, step: string, value: number, total: number): void => {
    const bar =
      shown.get(digest) ?? bars.create(Math.max(total, 1), 0, { id: shortId(digest), step });
    shown.set(digest, bar);
    bar.update(Math.min(value, total), { step });
  };
  return {
    onProgress(event) {
      if (event.type === "blob-progress")
        update(event.digest, "fetching ", event.received, event.size);
      else if (event.type === "blob-start" && event.received > 0)
        update(event.digest, "resuming ", event.received, event.size);
      else if (event.type === "blob-follow") update(event.digest, "waiting  ", 0, event.size);
      else if (event.type === "blob-done")
        update(event.digest, "fetched  ", event.size, event.size);
      else if (event.type === "unpack-progress")
        update(event.digest, "unpacking", event.read, event.size);
      else if (event.type === "unpack-done") shown.get(event.digest)?.update({ step: "unpacked " });
      else if (event.type === "warning") bars.log(`warning: ${event.message}\n`);
    },
    [Symbol.dispose]: () => bars.stop(),
  };
}
