import { type Descriptor, type Digest, hasErrorCode, isDigest } from "@stowage/content";
import type { ImageSource, OpenedImage } from "@stowage/image-service";
import type { FoundSignatures, SignatureRegistry, UrlFetcher } from "@stowage/policy";
import type { CopySource, RepositoryClient, TlsOptions, UndiciTransport } from "@stowage/registry";
import type { Reference } from "@stowage/reference";

import type { RuntimeOptions } from "./runtime-options.ts";

/** The registries of images that are open, for whoever looks for their signatures. */
export type SignatureRegistries = WeakMap<OpenedImage, SignatureRegistry>;

/** What knows where the signatures of an image are, and finds them at most once. */
export interface SignatureFinder {
  find(signal: AbortSignal | undefined): Promise<FoundSignatures>;
}

/**
 * Where `repository`, whose manifest was fetched by it, has its signatures: at the mirror that this
 * came from, if it was one, and nowhere else.
 */
export function signatureRegistry(repository: RepositoryClient): SignatureRegistry {
  return {
    get repository() {
      return repository.deliveredFrom;
    },
    async findManifest(target, wait) {
      try {
        // Another client: what the layers come from must not change with where a signature was.
        return await repository.whereDelivered().fetchManifest(target, wait);
      } catch (error) {
        if (hasErrorCode(error, "ERR_REGISTRY_NOT_FOUND")) return undefined;
        throw error;
      }
    },
    referrers: (subject, wait) => repository.whereDelivered().referrers(subject, wait),
    signatureFiles: (manifest, wait) => repository.signatureFiles(manifest, wait),
    openContent: (descriptor, wait) => repository.whereDelivered().openContent(descriptor, wait),
  };
}

/** What has signatures beside an image that no registry has. */
export type SignaturePlace = Pick<
  CopySource,
  "fetchManifest" | "findTag" | "name" | "openContent" | "referrers" | "signatureFiles"
>;

/** Where a layout, an archive or a folder has the signatures of its image, called `repository`. */
export function placeSignatures(
  place: SignaturePlace,
  repository: RepositoryClient["repository"],
): SignatureRegistry {
  // Who asks for a referrer knows no more than its digest.
  const listed = new Map<Digest, Descriptor>();
  return {
    location: place.name,
    repository,
    async findManifest(target, wait) {
      if (!isDigest(target)) return place.findTag(target, wait);
      const descriptor = listed.get(target);
      return descriptor && (await place.fetchManifest(descriptor, wait));
    },
    async *referrers(subject, wait) {
      for await (const referrer of place.referrers(subject, wait)) {
        listed.set(referrer.digest, referrer);
        yield referrer;
      }
    },
    signatureFiles: async (manifest, wait) => place.signatureFiles?.(manifest, wait),
    openContent: (descriptor, wait) => place.openContent(descriptor, wait),
  };
}

/** Opens nothing while the `registries.d` that was asked for cannot be read. */
export function withRegistriesD(
  source: ImageSource,
  { env, registriesDPath: directory }: Pick<RuntimeOptions, "env" | "registriesDPath">,
): ImageSource {
  if (directory === undefined) return source;
  return {
    async open(reference, how) {
      const { loadRegistriesD } = await import("@stowage/policy");
      await loadRegistriesD({ directory, env, signal: how.signal });
      return await source.open(reference, how);
    },
  };
}

/** Finds the signatures of an image that comes from a registry. */
export function wireSignatureFinder(
  reference: Reference,
  manifest: Parameters<SignatureRegistry["signatureFiles"]>[0],
  registry: SignatureRegistry,
  options: RuntimeOptions,
): SignatureFinder {
  let finding: Promise<FoundSignatures> | undefined;
  return {
    find: (signal) => (finding ??= find(signal)),
  };

  async function find(signal: AbortSignal | undefined): Promise<FoundSignatures> {
    const { findSignatures, loadRegistriesD } = await import("@stowage/policy");
    const { loadHostTls, loadProxies, UndiciTransport } = await import("@stowage/registry");
    const { certDir, env, registriesDPath } = options;
    const registriesD = await loadRegistriesD({ directory: registriesDPath, env, signal });
    const { onRegistryEvent: onEvent, resolve, bandwidth } = options;
    const proxy = loadProxies({ env, onEvent });
    await using transport = new UndiciTransport({ proxy, resolve, bandwidth });
    const hostTls = loadHostTls({ certDir, env, onEvent });
    const fetchUrl = urlFetcher(transport, hostTls);
    return await findSignatures(reference, manifest, { registriesD, registry, fetchUrl, signal });
  }
}

const MAX_REDIRECTS = 5;

function urlFetcher(
  transport: UndiciTransport,
  hostTls: (host: string) => Promise<TlsOptions | undefined>,
): UrlFetcher {
  return async (asked, { maxBytes, signal, onRedirect }) => {
    let url = asked;
    for (let redirects = 0; ; redirects += 1) {
      const tls = url.protocol === "https:" ? await hostTls(url.host) : undefined;
      const response = await transport.request(
        {
          method: "GET",
          url,
          headers: {},
          ...(tls && { tls }),
          ...(redirects > 0 && { namedBy: asked.hostname, namedFor: "content" as const }),
        },
        { signal },
      );
      const { status, headers } = response;
      const next = status >= 300 && status < 400 ? targetOf(url, headers["location"]) : undefined;
      if (next !== undefined && redirects < MAX_REDIRECTS) {
        response.cancel();
        url = next;
        onRedirect?.(next);
        continue;
      }
      const chunks: Uint8Array[] = [];
      let length = 0;
      for await (const chunk of response.body) {
        chunks.push(chunk);
        length += chunk.byteLength;
        if (length > maxBytes) break;
      }
      return { status, bytes: Buffer.concat(chunks) };
    }
  };
}

/** Where to go on; nowhere that is not HTTP, and from TLS to no plain HTTP. */
function targetOf(from: URL, location: string | readonly string[] | undefined): URL | undefined {
  const next = typeof location === "string" ? URL.parse(location, from.href) : null;
  if (next === null || !["http:", "https:"].includes(next.protocol)) return undefined;
  return from.protocol === "https:" && next.protocol === "http:" ? undefined : next;
}
