import type { PullProgress } from "@stowage/runtime-shim";

import type { CommandContext } from "./command.ts";
import { countOf, formatSize, shortId } from "./table.ts";
import { transferLine } from "./transfer-line.ts";

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
      return `resolved ${event.canonical}: ${countOf(event.layers, "layer")}, ${formatSize(event.bytes)}`;
    case "blob-done":
      return `fetched  ${shortId(event.digest)}  ${formatSize(event.size)}${reusedOf(event)}${fromOf(event)}`;
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
    case "blob-reuse":
    case "blob-reuse-failed":
    case "mirror-failed":
    case "parallel":
    case "rate-limit-spent":
    case "resume":
    case "retries-spent":
    case "retry":
    case "source":
      return transferLine(event);
    default:
      return event satisfies never;
  }
}

function reusedOf({ reused }: { readonly reused?: number }): string {
  return reused === undefined ? "" : `, ${formatSize(reused)} of it copied from what was here`;
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
  const tellAbove = (line: string | undefined): void => {
    if (line === undefined) return;
    // What is logged before there is a bar is shown with the first one, or never.
    if (shown.size === 0) context.tell(line);
    else bars.log(`${line}\n`);
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
      else if (event.type === "warning") tellAbove(`warning: ${event.message}`);
      else tellAbove(transferLine(event));
    },
    [Symbol.dispose]: () => bars.stop(),
  };
}
