import type { ImageLookup, PodStore } from "./ports.ts";

/** What every operation of one pod service stands on. */
export interface PodContext {
  readonly store: PodStore;
  readonly images: ImageLookup;
  readonly pauseImage: string | undefined;
  readonly onWarning: (message: string, cause?: unknown) => void;
}
