import { errorKind, type ErrorKind, hasErrorCode, isDigest } from "@stowage/content";
import type { ImageService } from "@stowage/image-service";
import type { RegistriesConf } from "@stowage/registry";

import type { RegistriesSource } from "./open-registry-client.ts";
import type { RuntimeOptions } from "./runtime-options.ts";

// What says of a candidate only that it is not there for us. After anything else, a distrusted
// certificate or a rejection by policy above all, the next candidate would be a way around it.
const PASSED_OVER: ReadonlySet<ErrorKind | undefined> = new Set<ErrorKind>([
  "AuthFailed",
  "PullStalled",
  "RateLimited",
  "RegistryNotFound",
  "RegistryProtocol",
  "RegistryUnavailable",
]);
const ID = /^(?:sha256:)?([0-9a-f]{3,64})$/;

/**
 * An image service to which short names mean what `registries.conf` says: aliases, then the
 * registries to search. Names that it says nothing about stay Docker Hub's, as everywhere; an ID
 * stays an ID.
 */
export function withShortNames(
  images: ImageService,
  registries: RegistriesSource,
  options: RuntimeOptions,
): ImageService {
  const { onWarning = () => {} } = options;
  const local = (name: string): Promise<string> => findLocally(images, registries, name, onWarning);
  return {
    ...images,
    async canPull(name, how) {
      const { candidates } = await resolve(registries, name, { ...options, choose: undefined });
      return await firstOf(name, candidates, onWarning, (full) => images.canPull(full, how));
    },
    async pull(name, how) {
      const meant = await askShortName(registries, name, options, how?.signal);
      const pulled = await firstOf(name, meant.candidates, onWarning, (full) =>
        images.pull(full, how),
      );
      // The image is here, whether or not the choice can be kept.
      await meant.keep();
      return pulled;
    },
    listImages: async (filter, how) =>
      images.listImages(filter === undefined ? filter : await local(filter), how),
    imageStatus: async (name, how) => images.imageStatus(await local(name), how),
    requireImage: async (name, how) => images.requireImage(await local(name), how),
    inspect: async (name, how) => images.inspect(await local(name), how),
    tag: async (image, name, how) => images.tag(await local(image), name, how),
    untagImage: async (name, how) => images.untagImage(await local(name), how),
    removeImage: async (name, how) => images.removeImage(await local(name), how),
    requireAllowed: async (name, how) => images.requireAllowed(await local(name), how),
  };
}

/** What a short name means. */
export interface MeantNames {
  /** In full, in the order in which they are tried; the one that was chosen, if somebody was asked. */
  readonly candidates: readonly string[];
  /** Records what was chosen, once it has proved right. */
  keep(): Promise<void>;
}

/** Resolves a name, and asks which registry it means where that is in doubt and there is somebody. */
export async function askShortName(
  registries: RegistriesSource,
  name: string,
  options: RuntimeOptions,
  signal: AbortSignal | undefined,
): Promise<MeantNames> {
  const { choose, env, shortNameAliases: aliasFile, onWarning } = options;
  const { candidates, ask } = await resolve(registries, name, options);
  if (!ask || choose === undefined) return { candidates, async keep() {} };
  const chosen = await choose(name, candidates, { signal });
  return {
    candidates: [chosen],
    async keep() {
      const { recordShortName } = await import("@stowage/registry");
      await recordShortName(name, chosen, { env, aliasFile }).catch((cause: unknown) =>
        onWarning?.(`${name}: the choice of ${chosen} could not be recorded`, cause),
      );
    },
  };
}

async function resolve(
  registries: RegistriesSource,
  name: string,
  { choose, shortNameMode: mode, onRegistryEvent: onEvent }: RuntimeOptions,
): Promise<{ readonly candidates: readonly string[]; readonly ask: boolean }> {
  // A name in full is nobody's business here, and its mistakes are told where it is parsed.
  if (!(await isShort(name))) return { candidates: [name], ask: false };
  const { resolveShortName } = await import("@stowage/registry");
  const canAsk = choose !== undefined;
  return resolveShortName(await registries.current(), name, {
    mode,
    canAsk,
    defaultToHub: true,
    onEvent,
  });
}

async function isShort(name: string): Promise<boolean> {
  const { isShortName } = await import("@stowage/reference");
  return isShortName(name) && !isDigest(name) && !/^[0-9a-f]{64}$/.test(name);
}

/** Tries candidates in order; the first one's failure stands, the others' are told. */
async function firstOf<Result>(
  name: string,
  candidates: readonly string[],
  onWarning: (message: string, cause?: unknown) => void,
  task: (candidate: string) => Promise<Result>,
): Promise<Result> {
  let failure: unknown;
  for (const [at, candidate] of candidates.entries()) {
    try {
      return await task(candidate);
    } catch (error) {
      const isPassedOver =
        PASSED_OVER.has(errorKind(error)) || hasErrorCode(error, "ERR_REGISTRY_BLOCKED");
      if (candidates.length === 1 || !isPassedOver) throw error;
      const what = error instanceof Error ? error.message : String(error);
      onWarning(`${name}: not taken from ${candidate}: ${what}`, error);
      failure = at === 0 ? error : failure;
    }
  }
  throw failure;
}

async function findLocally(
  images: ImageService,
  registries: RegistriesSource,
  name: string,
  onWarning: (message: string, cause?: unknown) => void,
): Promise<string> {
  if (!(await isShort(name))) return name;
  let conf: RegistriesConf;
  try {
    conf = await registries.current();
  } catch (error) {
    // What is here can be told without knowing where else it might come from.
    onWarning(`${name}: taken for Docker Hub's`, error);
    return name;
  }
  const { resolveLocally } = await import("@stowage/registry");
  const { parseRawReference } = await import("@stowage/reference");
  const { tag, digest } = parseRawReference(name);
  const digits = ID.exec(name)?.[1];
  if (digits !== undefined) {
    const known = await images.imageStatus(name);
    if (known?.id.startsWith(`sha256:${digits}`) === true) return name;
  }
  for (const full of resolveLocally(conf, name, { defaultToHub: true })) {
    if ((await images.imageStatus(full)) === undefined) continue;
    // A filter without a tag means more than `latest`.
    return tag === undefined && digest === undefined ? full.replace(/:latest$/, "") : full;
  }
  return name;
}
