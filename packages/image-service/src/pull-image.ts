import { formatPlatform, type Platform } from "@stowage/content";
import { formatReference, formatRepository, type Reference } from "@stowage/reference";
import type { Store } from "@stowage/store";

import { canonicalName, parseSourceReference } from "./image-names.ts";
import { withOpenedImage } from "./opened-source.ts";
import type { ImageSource, PolicyGate } from "./ports.ts";
import type { PullOptions } from "./pull-options.ts";
import type { PulledImage } from "./pulled-image.ts";
import type { PullQueue, PullRun } from "./pull-queue.ts";
import { requireImage, resolveManifest } from "./resolve-manifest.ts";
import { storeImage } from "./store-image.ts";
import type { TurnQueue } from "./turn-queue.ts";

/** What pulls of one service share. */
export interface PullContext {
  readonly store: Store;
  readonly source: ImageSource;
  readonly policy: PolicyGate;
  /** What is pulled if the caller does not say. */
  readonly platform: Platform;
  readonly pulls: PullQueue<PulledImage>;
  readonly turns: TurnQueue;
}

/** Pulls an image, or waits for the same pull if that is under way. */
export async function pullImage(
  context: PullContext,
  text: string,
  options: PullOptions,
): Promise<PulledImage> {
  options.signal?.throwIfAborted();
  const reference = parseSourceReference(text);
  const { platform, requireTagMatch = false, source } = options;
  const wanted = platform ? `for ${formatPlatform(platform)}` : "for any";
  const strict = requireTagMatch ? " strictly" : "";
  const identity = { text: `${formatReference(reference)} ${wanted}${strict}`, source };
  return await context.pulls.join(identity, options, (run) =>
    runPull(context, reference, options, run),
  );
}

/** Asks the registry whether the caller may pull, and writes nothing. */
export async function canPullImage(
  context: PullContext,
  text: string,
  options: PullOptions,
): Promise<true> {
  const { signal, requireTagMatch } = options;
  signal?.throwIfAborted();
  const reference = parseSourceReference(text);
  const platform = options.platform ?? context.platform;
  const settings = { ...options, platform, onProgress: undefined };
  await withOpenedImage(context.source, reference, settings, async (opened) => {
    await resolveManifest(opened, reference, { platform, requireTagMatch, signal });
  });
  return true;
}

async function runPull(
  context: PullContext,
  reference: Reference,
  options: PullOptions,
  run: PullRun,
): Promise<PulledImage> {
  const { requireTagMatch, source, reuse } = options;
  const { signal, emit } = run;
  const platform = options.platform ?? context.platform;
  const settings = { platform, requireTagMatch, source, signal, onProgress: emit };
  return await withOpenedImage(context.source, reference, settings, async (opened) => {
    const resolved = await resolveManifest(opened, reference, {
      platform,
      requireTagMatch,
      signal,
    });
    requireImage(resolved);
    const { fetched, index, manifest } = resolved;
    const bytes = manifest.layers.reduce((sum, { size }) => sum + size, manifest.config.size);
    const canonical = canonicalName(formatRepository(reference.repository), fetched.descriptor);
    emit({ type: "resolved", canonical, layers: manifest.layers.length, bytes });
    const allowed = await context.policy.requireAllowed(
      {
        reference,
        manifest: fetched.descriptor,
        ...(index && { index: index.descriptor }),
        opened,
      },
      { signal, source },
    );
    signal.throwIfAborted();
    return await storeImage(context.store, opened, reference, resolved, {
      platform,
      isPlatformAsked: options.platform !== undefined,
      reuse,
      turns: context.turns,
      signatures: allowed?.signatures,
      signal,
      emit,
    });
  });
}
