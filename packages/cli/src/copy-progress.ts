import type { CopyProgress } from "@stowage/runtime-shim";

import type { CommandContext } from "./command.ts";
import { createProgressView } from "./progress.ts";
import { formatSize, shortId } from "./table.ts";

/** Shows a copy on stderr: bars on a terminal, lines elsewhere. */
export interface CopyView extends Disposable {
  readonly onProgress: (event: CopyProgress) => void;
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
        const { how, digest, size } = event;
        context.tell(`${WORDS[how]} ${shortId(digest)}  ${formatSize(size)}`);
      } else if (event.type === "manifest-done") {
        context.tell(`written  ${shortId(event.digest)}  ${event.mediaType}`);
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
      }
    },
    [Symbol.dispose]: () => view[Symbol.dispose](),
  };
}
