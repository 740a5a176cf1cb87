import { randomBytes } from "node:crypto";

import type {
  CreateContainerOptions,
  CreatedContainer,
  PodService,
  PrepareContainer,
} from "@stowage/pod-service";

import { createOciConfig, type RunOptions } from "./oci-config.ts";
import { findOciRuntime, type FoundRuntime } from "./oci-runtime.ts";
import { runBundle, type RunBundleOptions } from "./run-bundle.ts";
import { rememberRuntime, stateRootOf } from "./runtime-state.ts";
import { writeBundle, writeTemplate } from "./template.ts";

/** A container to be made with its run configuration. */
export interface CreateRunnableOptions extends Omit<CreateContainerOptions, "prepare"> {
  /** What runs in it, where that is not as the image says. */
  readonly run?: RunOptions | undefined;
}

/** A container that an OCI runtime can run. */
export interface StartedBundle {
  readonly id: string;
  /** The directory that an OCI runtime takes as `--bundle`. */
  readonly bundle: string;
  readonly mountPoint: string;
  /** How many starts the mount now stands for. */
  readonly count: number;
}

/** What {@link runContainer} runs. */
export interface RunContainerOptions extends RunBundleOptions {
  /** Name or ID of an image that is here. */
  readonly image: string;
  /** What runs in it, where that is not as the image says. */
  readonly run?: RunOptions | undefined;
  /** An existing pod. One of its own, which goes with it, unless told. */
  readonly pod?: string | undefined;
  /** A random one unless told. */
  readonly containerName?: string | undefined;
  /** `crun`, `runc`, …, or a path. `STOWAGE_RUNTIME` or whichever works here, unless told. */
  readonly runtime?: string | undefined;
  /** Told which runtime was found, and why others were passed over. */
  readonly onRuntime?: ((found: FoundRuntime) => void) | undefined;
}

/** What the functions here stand on. */
export interface RunContext {
  readonly pods: PodService;
  readonly runRoot: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly onWarning: (message: string, cause?: unknown) => void;
}

/** Makes a container, and writes its run configuration's template. Fails as a whole. */
export function createRunnable(
  context: RunContext,
  options: CreateRunnableOptions,
): Promise<CreatedContainer> {
  const { run, ...container } = options;
  return context.pods.createContainer({
    ...container,
    prepare: (prepared) => prepareTemplate(prepared, run),
  });
}

/** Writes the template of a container that has an image. */
export async function prepareTemplate(
  { id, image, workDir }: Parameters<PrepareContainer>[0],
  run?: RunOptions,
): Promise<void> {
  if (image === undefined) return;
  await writeTemplate(workDir, createOciConfig(id, image.config, run));
}

/** Mounts a container and writes the configuration of this start. Starts no process. */
export async function startRunnable(
  context: RunContext,
  idOrName: string,
  options: { readonly signal?: AbortSignal | undefined },
): Promise<StartedBundle> {
  const { id, mountPoint, count, runDir } = await context.pods.startContainer(idOrName, {
    signal: options.signal,
    prepare: async (started) => {
      await writeBundle(started);
    },
  });
  return { id, bundle: runDir, mountPoint, count };
}

/**
 * Makes a container, runs it to its end, and removes it, whatever happens.
 *
 * @returns the exit code of its process.
 */
export async function runContainer(
  context: RunContext,
  options: RunContainerOptions,
): Promise<number> {
  const { signal, image, onRuntime } = options;
  const found = await findOciRuntime({ runtime: options.runtime, env: context.env });
  onRuntime?.(found);
  const name = `run-${randomBytes(6).toString("hex")}`;
  const { pods } = context;
  const podId = options.pod ?? (await createThrowAwayPod(pods, name, signal));
  let id: string | undefined;
  try {
    const containerName = options.containerName ?? (options.pod ? name : `${name}-main`);
    const container = { podId, containerName, imageName: image, run: options.run, signal };
    ({ id } = await createRunnable(context, container));
    const { bundle } = await startRunnable(context, id, { signal });
    const stateRoot = stateRootOf(context.runRoot, found.runtime.name);
    await rememberRuntime(context.runRoot, found.runtime);
    return await runBundle({ runtime: found.runtime, id, bundle, stateRoot }, options);
  } finally {
    if (id !== undefined) await remove(context, () => pods.deleteContainer(id ?? ""));
    if (options.pod === undefined) await remove(context, () => pods.removePod(podId));
  }
}

async function createThrowAwayPod(
  pods: PodService,
  podName: string,
  signal: AbortSignal | undefined,
): Promise<string> {
  return (await pods.createPodSandbox({ podName, imageName: null, signal })).id;
}

// The end of the process matters more to the caller than what could not be cleared after it.
async function remove(context: RunContext, removal: () => Promise<unknown>): Promise<void> {
  try {
    await removal();
  } catch (cause) {
    context.onWarning("a container that was run could not be removed", cause);
  }
}
