import type { ImageService } from "@stowage/image-service";
import type { CreatedContainer, CreatePodSandboxOptions, PodService } from "@stowage/pod-service";
import type { PolicyVerdict } from "@stowage/policy";
import type { Store } from "@stowage/store";

import {
  type CreateRunnableOptions,
  createRunnable,
  prepareTemplate,
  runContainer,
  type RunContainerOptions,
  type StartedBundle,
  startRunnable,
} from "./run-config/run-container.ts";
import { withSharedRate } from "./open-registry-client.ts";
import type { RuntimeOptions } from "./runtime-options.ts";
import { wireImageService } from "./wire-image-service.ts";
import { wirePodService } from "./wire-pod-service.ts";
import { explainPolicy, type ExplainPolicyOptions } from "./wire-policy-explain.ts";

/** Everything, composed over one store. Close it when done; it holds the store open. */
export interface Runtime extends AsyncDisposable {
  readonly store: Store;
  readonly images: ImageService;
  readonly pods: PodService;
  /** As the pod service does, with a run configuration where the infra container has an image. */
  createPodSandbox(options: CreatePodSandboxOptions): Promise<CreatedContainer>;
  /**
   * As the pod service does, with a run configuration.
   *
   * @throws {@link RuntimeError} `ERR_RUNTIME_NO_COMMAND`, `ERR_RUNTIME_INVALID_PROCESS`,
   *   `ERR_RUNTIME_INVALID_USER`; then there is no container.
   */
  createContainer(options: CreateRunnableOptions): Promise<CreatedContainer>;
  /**
   * Mounts a container and writes the bundle that an OCI runtime takes. Starts no process.
   *
   * @throws {@link PodError} or {@link RuntimeError} as the pod service and `writeBundle` do; what
   *   this start mounted is then unmounted.
   */
  startContainer(
    idOrName: string,
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<StartedBundle>;
  /**
   * Makes a container, runs it to its end with an OCI runtime, and removes it, whatever happens.
   *
   * @returns the exit code of its process; 128 and the number of the signal that ended it.
   * @throws {@link RuntimeError} and what the services throw; `runFailureExitCode` tells what to
   *   exit with. The signal's reason once its process is dead and all is removed.
   */
  runContainer(options: RunContainerOptions): Promise<number>;
  /**
   * What the signature policy says about an image in a registry or, with `local`, in the store: the
   * whole verdict, whether it allows or not. Writes nothing.
   *
   * @param image - a name or ID, or a location as `parseCopyLocation` reads it: `dir:PATH` and other
   *   images in files are judged by the scopes of their own transport.
   * @throws what a pull throws before it asks the policy, or `images.requireAllowed`.
   */
  explainPolicy(image: string, options?: ExplainPolicyOptions): Promise<PolicyVerdict>;
}

/** Opens the store and composes the services over it. */
export async function createRuntime(given: RuntimeOptions): Promise<Runtime> {
  const options = await withSharedRate(given);
  const { root, runRoot, limits, signal, env = process.env } = options;
  const { openStore } = await import("@stowage/store");
  const store = await openStore({ root, runRoot, limits, signal });
  try {
    const images = await wireImageService(store, options);
    const pods = await wirePodService(store, images, options);
    const onWarning = options.onWarning ?? (() => {});
    const context = { pods, runRoot: store.runRoot, env, onWarning };
    return {
      store,
      images,
      pods,
      createPodSandbox: (sandbox) =>
        pods.createPodSandbox({
          ...sandbox,
          prepare: async (container) => {
            await prepareTemplate(container);
            await sandbox.prepare?.(container);
          },
        }),
      createContainer: (container) => createRunnable(context, container),
      startContainer: (idOrName, start = {}) => startRunnable(context, idOrName, start),
      runContainer: (run) => runContainer(context, run),
      explainPolicy: (image, how = {}) => explainPolicy(store, options, image, how),
      [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
    };
  } catch (error) {
    await store[Symbol.asyncDispose]();
    throw error;
  }
}
