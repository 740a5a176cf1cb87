/**
 * Names of pods and containers as the kubelet's world expects them, and their reservation.
 *
 * @module
 */
import { PodError } from "./pod-error.ts";

/** Who a pod is to its orchestrator. */
export interface PodIdentity {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  /** How often the pod's sandbox was made before. */
  readonly attempt: number;
}

/** `k8s_<name>_<namespace>_<uid>_<attempt>` */
export function podNameOf(pod: PodIdentity): string {
  return ["k8s", pod.name, pod.namespace, pod.uid, pod.attempt].join("_");
}

/** `k8s_POD_<name>_<namespace>_<uid>_<attempt>` */
export function infraContainerNameOf(pod: PodIdentity): string {
  return ["k8s", "POD", pod.name, pod.namespace, pod.uid, pod.attempt].join("_");
}

/**
 * `k8s_<container>_<pod name>_<namespace>_<uid>_<attempt>`
 *
 * @param attempt - how often the container was made before; the pod's own count has no part in it.
 */
export function containerNameOf(
  containerName: string,
  pod: Pick<PodIdentity, "name" | "namespace" | "uid">,
  attempt: number,
): string {
  return ["k8s", containerName, pod.name, pod.namespace, pod.uid, attempt].join("_");
}

/**
 * Names that requests in flight have claimed in this process. What is claimed in the store, the
 * store knows: this only keeps two requests from doing the same costly work.
 */
export interface NameRegistrar {
  /**
   * Claims `name` for `key`; again for the same key is fine.
   *
   * @throws {@link PodError} `ERR_POD_NAME_RESERVED` if another key has it.
   */
  reserve(name: string, key: string): void;
  /** Gives `name` back; a name that nobody has is fine. */
  release(name: string): void;
  /** Gives back all that `key` has. */
  releaseKey(key: string): void;
  /** Who has `name`. */
  find(name: string): string | undefined;
}

/** A registrar that holds nothing yet. */
export function createNameRegistrar(): NameRegistrar {
  const keys = new Map<string, string>();
  return {
    reserve(name, key) {
      const holder = keys.get(name);
      if (holder !== undefined && holder !== key) {
        throw new PodError("ERR_POD_NAME_RESERVED", `${name}: reserved for ${holder}`);
      }
      keys.set(name, key);
    },
    release(name) {
      keys.delete(name);
    },
    releaseKey(key) {
      for (const [name, holder] of keys) if (holder === key) keys.delete(name);
    },
    find: (name) => keys.get(name),
  };
}
