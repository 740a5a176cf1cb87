import type { CopyBetweenProgress } from "@stowage/runtime-shim";

import type { CommandContext } from "./command.ts";
import { createProgressView } from "./progress.ts";
import { countOf, formatSize, shortId } from "./table.ts";
import { transferLine } from "./transfer-line.ts";

/** Shows a copy on stderr: bars on a terminal, lines elsewhere. */
export interface CopyView extends Disposable {
  readonly onProgress: (event: CopyBetweenProgress) => void;
}

const WORDS = { existed: "present ", mounted: "mounted ", uploaded: "copied  " } as const;

/** Silent with `--quiet` and `--no-progress`. */
export async function createCopyView(context: CommandContext): Promise<CopyView> {
  const { options, stderr } = context;
  const isShown = !options.quiet && options.progress;
  if (!isShown || stderr.isTTY) return createBars(context);
  return {
    onProgress(event) {
      if (event.type === "blob-done") {
        const { how, digest, size, source } = event;
        const from = source === undefined ? "" : `  from ${source}`;
        context.tell(`${WORDS[how]} ${shortId(digest)}  ${formatSize(size)}${from}`);
      } else if (event.type === "manifest-start") {
        const { digest, blobs, bytes } = event;
        context.tell(
          `copying  ${shortId(digest)}  ${countOf(blobs, "blob")}, ${formatSize(bytes)}`,
        );
      } else if (event.type === "manifest-done") {
        context.tell(`written  ${shortId(event.digest)}  ${event.mediaType}`);
      } else {
        const line = transferLine(event);
        if (line !== undefined) context.tell(line);
      }
    },
    [Symbol.dispose]: () => {},
  };
}

async function createBars(context: CommandContext): Promise<CopyView> {
  const view = await createProgressView(context);
  return {
    onProgress(event) {
      if (event.type === "blob-progress") {
        const { type, digest, size, written: received } = event;
        view.onProgress({ type, digest, size, received });
      } else if (event.type === "blob-done") {
        const { type, digest, size } = event;
        view.onProgress({ type, digest, size });
      } else if (event.type === "mirror-failed" || event.type === "retry") {
        view.onProgress(event);
      }
    },
    [Symbol.dispose]: () => view[Symbol.dispose](),
  };
}
