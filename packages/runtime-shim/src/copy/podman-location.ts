/**
 * How images in podman's store are written: `[DRIVER@ROOT+RUNROOT:OPTIONS]NAME@ID`, of which all but
 * the name, or the ID, may be left out.
 *
 * @see https://github.com/containers/image/blob/v5.36.0/docs/containers-transports.5.md
 * @module
 */
import { isDigest } from "@stowage/content";
import {
  formatReference,
  parseReference,
  type Reference,
  withDefaultTag,
} from "@stowage/reference";

import { RuntimeError } from "../runtime-error.ts";

/** An image in a store that containers/storage keeps, podman's for one. */
export interface PodmanLocation {
  readonly transport: "containers-storage";
  /** Podman's own unless told. */
  readonly store?: PodmanStorePlace;
  readonly image: PodmanImageName;
}

/** A name in such a store. */
export interface PodmanPlace extends PodmanLocation {
  readonly image: { readonly reference: Reference };
}

/** A store. Where it runs is of no concern to whoever reads it. */
export interface PodmanStorePlace {
  readonly driver?: string;
  /** Absolute. */
  readonly graphRoot: string;
  readonly runRoot?: string;
  /** Further stores, which images may be in as well. */
  readonly imageStores?: readonly string[];
}

/** An image by its name, its ID, or both; or by what may be the one or the other. */
export interface PodmanImageName {
  readonly reference?: Reference;
  /** Up to 64 hex digits. */
  readonly id?: string;
  /** Whether one of the two is enough. */
  readonly isEither?: true;
}

const ID = /^[0-9a-f]{3,64}$/;
const WHOLE_ID = /^[0-9a-f]{64}$/;
const IMAGE_STORE = /^(?:[a-z0-9]+\.)?imagestore=(?<path>.*)$/;

/**
 * Reads what follows `containers-storage:`.
 *
 * @throws {@link RuntimeError} `ERR_RUNTIME_INVALID_LOCATION`; `InvalidReferenceError` for the name
 *   of an image that is none.
 */
export function parsePodmanLocation(text: string): PodmanLocation {
  const { place, rest } = /^\[(?<place>[^\]]*)\](?<rest>.*)$/su.exec(text)?.groups ?? {};
  if (place === undefined && text.startsWith("[")) throw invalid("lacks a ]");
  return {
    transport: "containers-storage",
    ...(place !== undefined && { store: parsePlace(place) }),
    image: parseName(rest ?? text),
  };
}

/** A location as {@link parsePodmanLocation} reads it. */
export function formatPodmanLocation({ store, image }: PodmanLocation): string {
  const { reference, id, isEither = false } = image;
  const name = reference === undefined || isEither ? "" : formatReference(reference);
  return `containers-storage:${formatPlace(store)}${name}${id === undefined ? "" : `@${id}`}`;
}

/**
 * A location as a place to copy to.
 *
 * @throws {@link RuntimeError} `ERR_RUNTIME_COPY_UNSUPPORTED` for an ID or a digest.
 */
export function podmanPlace({ image, ...location }: PodmanLocation): PodmanPlace {
  const { reference, id, isEither = false } = image;
  const isNamed = reference !== undefined && (id === undefined || isEither);
  if (isNamed && reference.digest === undefined) return { ...location, image: { reference } };
  const message = "an ID or a digest is no place to copy to; it follows from the image";
  throw new RuntimeError("ERR_RUNTIME_COPY_UNSUPPORTED", message, {
    hint: "Write containers-storage:NAME:TAG, or containers-storage:[overlay@/GRAPHROOT]NAME:TAG.",
  });
}

function parsePlace(text: string): PodmanStorePlace {
  const at = text.indexOf("@");
  const driver = at < 0 ? "" : text.slice(0, at);
  const [roots = "", ...options] = text.slice(at + 1).split(":");
  const plus = roots.indexOf("+");
  const graphRoot = plus < 0 ? roots : roots.slice(0, plus);
  const runRoot = plus < 0 ? "" : roots.slice(plus + 1);
  if (!graphRoot.startsWith("/")) throw invalid("names no absolute path between [ and ]");
  const imageStores = options
    .join(":")
    .split(",")
    .filter((option) => option !== "")
    .map((option) => {
      const path = IMAGE_STORE.exec(option)?.groups?.["path"] ?? "";
      // What else there is says how a store is written.
      if (!path.startsWith("/")) throw invalid("has an option that is not DRIVER.imagestore=PATH");
      return path;
    });
  return {
    graphRoot,
    ...(driver !== "" && { driver }),
    ...(runRoot !== "" && { runRoot }),
    ...(imageStores.length > 0 && { imageStores }),
  };
}

function formatPlace(store: PodmanStorePlace | undefined): string {
  if (store === undefined) return "";
  const { driver, graphRoot, runRoot, imageStores = [] } = store;
  const options = imageStores.map((path) => `${driver ?? "overlay"}.imagestore=${path}`).join(",");
  return [
    `[${driver === undefined ? "" : `${driver}@`}${graphRoot}`,
    `${runRoot === undefined ? "" : `+${runRoot}`}${options === "" ? "" : `:${options}`}]`,
  ].join("");
}

function parseName(text: string): PodmanImageName {
  if (text === "") throw invalid("names no image");
  if (WHOLE_ID.test(text)) return { id: text };
  if (ID.test(text)) return { id: text, isEither: true, reference: nameOf(text) };
  const at = text.lastIndexOf("@");
  const end = text.slice(at + 1);
  if (at < 0 || isDigest(end)) return { reference: nameOf(text) };
  if (!ID.test(end)) throw invalid("has neither a digest nor an ID behind @");
  return at === 0 ? { id: end } : { id: end, reference: nameOf(text.slice(0, at)) };
}

function nameOf(text: string): Reference {
  return withDefaultTag(parseReference(text));
}

function invalid(what: string): RuntimeError {
  return new RuntimeError("ERR_RUNTIME_INVALID_LOCATION", `containers-storage: ${what}`, {
    hint: "Write containers-storage:NAME, or containers-storage:[overlay@/GRAPHROOT]NAME.",
  });
}
