/**
 * Which list of requirements is for an image: the most specific one, and that one only.
 *
 * @module
 */
import { escapeText } from "@stowage/content";
import {
  formatReference,
  formatRepository,
  type Reference,
  repositoryOnly,
  scopeIdentity,
  scopeNamespaces,
  withDefaultTag,
  withoutTagIfDigested,
} from "@stowage/reference";

import type { Policy, PolicyRequirement } from "../policy.ts";
import { PolicyError } from "../policy-error.ts";
import type { PolicySubject, StorageSubject } from "../policy-subject.ts";
import { isCleanPath } from "./transport-scope.ts";
import type { ConsideredScope } from "../verdict.ts";

/** The names under which requirements for an image may stand. */
export interface ImageScopes {
  readonly transport: string;
  /** Empty if the transport names no single image. */
  readonly identity: string;
  /** Less specific ones, nearest first. */
  readonly namespaces: readonly string[];
}

/** Where the requirements were found. */
export interface PolicyScope {
  readonly kind: "identity" | "namespace" | "transport" | "default";
  /** The key in the document; empty for a whole transport and for the default. */
  readonly text: string;
}

/** What {@link chooseRequirements} found. */
export interface ChosenRequirements {
  readonly scope: PolicyScope;
  /** What was looked for, nearest first, the last being what was found. */
  readonly considered: readonly ConsideredScope[];
  readonly requirements: readonly PolicyRequirement[];
}

/** Nothing is inherited: once a scope is found, no wider one is looked at. */
export function chooseRequirements(policy: Policy, image: ImageScopes): ChosenRequirements {
  const { transport, identity, namespaces } = image;
  const scopes = ownValue(policy.transports, transport) ?? {};
  const candidates: readonly PolicyScope[] = [
    ...(identity === "" ? [] : [{ kind: "identity", text: identity } as const]),
    ...namespaces.map((text) => ({ kind: "namespace", text }) as const),
    { kind: "transport", text: "" },
  ];
  const considered: ConsideredScope[] = [];
  for (const scope of candidates) {
    const requirements = ownValue(scopes, scope.text);
    considered.push({ ...scope, found: requirements !== undefined });
    if (requirements !== undefined) return { scope, considered, requirements };
  }
  const scope = { kind: "default", text: "" } as const;
  considered.push({ ...scope, found: true });
  return { scope, considered, requirements: policy.default };
}

/**
 * The names of any subject.
 *
 * @throws {@link PolicyError} `ERR_POLICY_INVALID_ARGUMENT` if a path is not absolute and clean.
 */
export function scopesOf(subject: PolicySubject): ImageScopes {
  switch (subject.transport) {
    case "docker":
      return dockerScopes(withoutTagIfDigested(subject.reference));
    case "dir":
      return directoryScopes(subject.path);
    case "oci":
      return ociLayoutScopes(subject.path);
    case "oci-archive":
      return { ...ociLayoutScopes(subject.path), transport: "oci-archive" };
    case "docker-archive":
      return { transport: "docker-archive", identity: "", namespaces: [] };
    case "containers-storage":
      return storageScopes(subject);
    case "docker-daemon": {
      const { transport, reference } = subject;
      if (reference === undefined) return { transport, identity: "", namespaces: [] };
      return { ...dockerScopes(withoutTagIfDigested(reference)), transport };
    }
  }
}

/**
 * The names of an image in a registry: always those of the reference that the user gave, never of
 * the mirror that it came from.
 *
 * @throws {@link InvalidReferenceError} `ERR_REFERENCE_TAG_AND_DIGEST` if there are both.
 */
export function dockerScopes(reference: Reference): ImageScopes {
  return {
    transport: "docker",
    identity: scopeIdentity(reference),
    namespaces: scopeNamespaces(reference.repository),
  };
}

/**
 * The names of an image in a plain directory.
 *
 * @param path - Absolute and clean, links resolved.
 * @throws {@link PolicyError} `ERR_POLICY_INVALID_ARGUMENT` if it is not.
 */
export function directoryScopes(path: string): ImageScopes {
  return { transport: "dir", identity: path, namespaces: pathsUpFrom(path).slice(1) };
}

/**
 * The names of an OCI layout. The image inside it is not part of them.
 *
 * @param path - As for {@link directoryScopes}.
 * @throws {@link PolicyError} `ERR_POLICY_INVALID_ARGUMENT` if it is not absolute and clean.
 */
export function ociLayoutScopes(path: string): ImageScopes {
  return { transport: "oci", identity: path, namespaces: pathsUpFrom(path) };
}

/** The names of an image in a store of containers/storage: those of its name, and of the store. */
function storageScopes({ driver, graphRoot, reference, id }: StorageSubject): ImageScopes {
  const store = `[${driver}@${graphRoot}]`;
  const namespaces: string[] = [];
  let name = "";
  if (reference !== undefined) {
    name = formatReference(withDefaultTag(reference));
    if (id !== undefined) namespaces.push(store + name);
    if (reference.tag !== undefined && reference.digest !== undefined) {
      namespaces.push(`${store}${formatReference(repositoryOnly(reference))}:${reference.tag}`);
    }
    const repository = formatRepository(reference.repository);
    for (let end = repository.length; end !== -1; end = repository.lastIndexOf("/", end - 1)) {
      namespaces.push(store + repository.slice(0, end));
    }
  }
  namespaces.push(store, `[${graphRoot}]`);
  return {
    transport: "containers-storage",
    identity: `${store}${name}${id === undefined ? "" : `@${id}`}`,
    namespaces,
  };
}

function pathsUpFrom(path: string): readonly string[] {
  if (!isCleanPath(path)) {
    throw new PolicyError(
      "ERR_POLICY_INVALID_ARGUMENT",
      `"${escapeText(path, 160)}" is not a clean absolute path below /`,
    );
  }
  const paths: string[] = [];
  for (let end = path.length; end > 0; end = path.lastIndexOf("/", end - 1)) {
    paths.push(path.slice(0, end));
  }
  return paths;
}

function ownValue<T>(record: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}
