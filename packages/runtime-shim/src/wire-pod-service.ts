import type { ImageService, InspectedImage } from "@stowage/image-service";
import type {
  ImageLookup,
  LocalImage,
  PodService,
  PodStore,
  UseImageOptions,
  WaitOptions,
} from "@stowage/pod-service";
import type { Store } from "@stowage/store";

import { endProcesses } from "./run-config/runtime-state.ts";
import { RuntimeError } from "./runtime-error.ts";
import type { RegistryAccess, RuntimeOptions } from "./runtime-options.ts";

interface UseAsPod extends WaitOptions {
  readonly source?: RegistryAccess;
}

/** A pod service that looks its images up in `images`. */
export async function wirePodService(
  store: Store,
  images: ImageService,
  options: RuntimeOptions,
): Promise<PodService> {
  const { createPodService } = await import("@stowage/pod-service");
  const { pauseImage, onWarning } = options;
  return createPodService({
    store: endingProcesses(store, options),
    images: imageLookup(images, options),
    pauseImage,
    onWarning,
  });
}

// A process that outlived whoever ran it would go on in a root that is no longer there.
function endingProcesses(store: Store, { env = process.env, onWarning }: RuntimeOptions): PodStore {
  const { containers, mounts, runRoot } = store;
  const end = (id: string): Promise<void> =>
    endProcesses(runRoot, id, env, (name) => {
      onWarning?.(
        `${id}: what may still run of it is not ended, as ${name}, which ran it, is gone`,
      );
    });
  return {
    containers: {
      ...containers,
      async remove(id, wait) {
        await end(id);
        await containers.remove(id, wait);
      },
    },
    mounts: {
      ...mounts,
      async unmountContainer(id, how) {
        if (how?.force) await end(id);
        return mounts.unmountContainer(id, how);
      },
    },
  };
}

function imageLookup(images: ImageService, { policyDirectory }: RuntimeOptions): ImageLookup {
  const onBehalf = ({ signal, namespace }: UseImageOptions = {}): UseAsPod => ({
    signal,
    // Where namespaces have no policies, pods of one pull the same image once.
    ...(policyDirectory !== undefined &&
      namespace !== undefined && { source: { policyNamespace: namespace } }),
  });
  const requireImage = async (nameOrId: string, wait?: WaitOptions): Promise<LocalImage> => {
    const image = await images.inspect(nameOrId, wait);
    const { id, config, topLayer, canonical } = image;
    return {
      id,
      name: await nameOf(image, nameOrId),
      config,
      ...(topLayer && { topLayer }),
      ...(canonical && { canonical }),
    };
  };
  return {
    requireImage,
    async ensureImage(name, how) {
      const { signal } = how ?? {};
      if ((await images.imageStatus(name, { signal })) === undefined) {
        await images.pull(name, onBehalf(how));
      }
      return requireImage(name, { signal });
    },
    async requireAllowed({ id, name }, how) {
      await images.requireAllowed(name, onBehalf(how));
      // What was allowed is what the name meant then.
      if ((await images.imageStatus(name, { signal: how?.signal }))?.id === id) return;
      throw new RuntimeError("ERR_RUNTIME_IMAGE_MOVED", `${name}: no longer names ${id}`, {
        hint: "try again",
      });
    },
  } satisfies ImageLookup;
}

// Policy is about names as people use them: that which was asked for, before others of the image.
async function nameOf(image: InspectedImage, asked: string): Promise<string> {
  const { formatReference, parseReference, withDefaultTag } = await import("@stowage/reference");
  try {
    const reference = withDefaultTag(parseReference(asked));
    const full = formatReference(reference);
    if (reference.digest !== undefined || image.names.includes(full)) return full;
  } catch {
    // An ID is no reference.
  }
  return image.names[0] ?? image.id;
}
