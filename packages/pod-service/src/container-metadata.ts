/**
 * What is remembered about a container: text in its record, and nowhere else.
 *
 * The keys are those that CRI-O's storage layer writes.
 *
 * @module
 */
import { type Digest, escapeText, isDigest } from "@stowage/content";

import { PodError } from "./pod-error.ts";

/** A container's metadata. Whether it is a pod's infra container, `pod` says. */
export interface ContainerMetadata {
  readonly podName: string;
  readonly podId: string;
  /** What was asked for; empty for an infra container without an image. */
  readonly imageName: string;
  /** The image that it resolved to; empty for an infra container without an image. */
  readonly imageId: Digest | "";
  /** The container's name in the store. */
  readonly name: string;
  /** The name that the caller knows it by; the same as `name` unless told. */
  readonly metadataName: string;
  /** Of the pod; on infra containers only. */
  readonly uid?: string;
  /** Of the pod; on infra containers only. */
  readonly namespace?: string;
  /** How often this was tried before: 0 the first time. An unsigned 32-bit number. */
  readonly attempt: number;
  /** Unix time in seconds. */
  readonly createdAt: number;
  /** The SELinux label to mount with. */
  readonly mountLabel?: string;
  /** Whether this is a pod's infra container. */
  readonly pod: boolean;
  readonly privileged: boolean;
}

/** The metadata as text. Keys that CRI-O leaves out when they say nothing are left out. */
export function formatContainerMetadata(metadata: ContainerMetadata): string {
  return JSON.stringify({
    "pod-name": metadata.podName,
    "pod-id": metadata.podId,
    "image-name": metadata.imageName,
    "image-id": metadata.imageId,
    name: metadata.name,
    "metadata-name": metadata.metadataName,
    uid: metadata.uid || undefined,
    namespace: metadata.namespace || undefined,
    attempt: metadata.attempt || undefined,
    "created-at": metadata.createdAt,
    mountlabel: metadata.mountLabel || undefined,
    pod: metadata.pod || undefined,
    privileged: metadata.privileged || undefined,
  });
}

/**
 * Reads metadata as leniently as CRI-O does: keys in any case and order, unknown ones ignored,
 * missing ones empty.
 *
 * @throws {@link PodError} `ERR_POD_INVALID_METADATA` if `text` is not a JSON object, or a known key
 *   holds another type than it should.
 */
export function parseContainerMetadata(text: string): ContainerMetadata {
  const fields = new Map<string, unknown>();
  for (const [key, value] of Object.entries(parseObject(text))) {
    if (value !== null) fields.set(key.toLowerCase(), value);
  }
  const name = readText(fields, "name");
  const uid = readText(fields, "uid");
  const namespace = readText(fields, "namespace");
  const mountLabel = readText(fields, "mountlabel");
  return {
    podName: readText(fields, "pod-name"),
    podId: readText(fields, "pod-id"),
    imageName: readText(fields, "image-name"),
    imageId: readImageId(fields),
    name,
    metadataName: readText(fields, "metadata-name") || name,
    ...(uid && { uid }),
    ...(namespace && { namespace }),
    attempt: readInteger(fields, "attempt", 0, 0xffff_ffff),
    createdAt: readInteger(fields, "created-at", Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
    ...(mountLabel && { mountLabel }),
    pod: readFlag(fields, "pod"),
    privileged: readFlag(fields, "privileged"),
  };
}

/** Whether a container with this metadata is a member of a pod, and not another program's. */
export function belongsToPod(metadata: ContainerMetadata): boolean {
  return metadata.podName !== "" && metadata.podId !== "";
}

function parseObject(text: string): object {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new PodError("ERR_POD_INVALID_METADATA", "metadata: not JSON", { cause });
  }
  if (value === null) return {};
  if (typeof value !== "object" || Array.isArray(value)) {
    throw new PodError("ERR_POD_INVALID_METADATA", "metadata: not a JSON object");
  }
  return value;
}

function readText(fields: ReadonlyMap<string, unknown>, key: string): string {
  const value = fields.get(key) ?? "";
  return typeof value === "string" ? value : reject(key, "a string");
}

function readFlag(fields: ReadonlyMap<string, unknown>, key: string): boolean {
  const value = fields.get(key) ?? false;
  return typeof value === "boolean" ? value : reject(key, "true or false");
}

function readInteger(
  fields: ReadonlyMap<string, unknown>,
  key: string,
  least: number,
  most: number,
): number {
  const value = fields.get(key) ?? 0;
  return typeof value === "number" && Number.isSafeInteger(value) && value >= least && value <= most
    ? value
    : reject(key, `an integer from ${least} to ${most}`);
}

// CRI-O writes bare hex digits here; they name the same image.
function readImageId(fields: ReadonlyMap<string, unknown>): Digest | "" {
  const text = readText(fields, "image-id");
  if (text === "") return "";
  const full = /^[0-9a-f]{64}$/.test(text) ? `sha256:${text}` : text;
  return isDigest(full) ? full : reject("image-id", `an image ID: ${escapeText(text)}`);
}

function reject(key: string, wanted: string): never {
  throw new PodError("ERR_POD_INVALID_METADATA", `metadata: ${key} is not ${wanted}`);
}
