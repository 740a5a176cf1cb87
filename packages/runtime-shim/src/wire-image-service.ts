import type { ImageService, ImageSource, OpenedImage } from "@stowage/image-service";
import type { Store } from "@stowage/store";

import type { RegistryAccess, RuntimeOptions } from "./runtime-options.ts";
import { wirePolicyGate } from "./wire-policy-gate.ts";
import { type SignatureRegistries, signatureRegistry } from "./wire-signature-source.ts";

/** An image service over `store` that pulls from registries and asks the policy file. */
export async function wireImageService(
  store: Store,
  options: RuntimeOptions,
): Promise<ImageService> {
  const { createImageService } = await import("@stowage/image-service");
  const { pinned = [], pauseImage, onWarning } = options;
  const registries: SignatureRegistries = new WeakMap();
  return createImageService({
    store,
    source: imageSource(options, registries),
    policy: wirePolicyGate(options, registries),
    // Without its pause image no pod could be made until it is pulled again.
    pinned: pauseImage === undefined ? pinned : [...pinned, await fullName(pauseImage)],
    onWarning: (warning) => onWarning?.(warning.message, warning.cause),
  });
}

async function fullName(image: string): Promise<string> {
  const { formatReference, parseReference, withDefaultTag } = await import("@stowage/reference");
  return formatReference(withDefaultTag(parseReference(image)));
}

/** Opens registries, and remembers them for whoever looks for signatures. */
export function imageSource(options: RuntimeOptions, registries: SignatureRegistries): ImageSource {
  return {
    async open(reference, { source }) {
      const { createRegistryClient, loadCredentials, loadHostTls } =
        await import("@stowage/registry");
      const access = accessOf(options, source);
      const { credentials, authfile, certDir, tlsVerify } = access;
      const hostTls = loadHostTls({ certDir, env: options.env });
      const client = createRegistryClient({
        credentials: credentials ?? loadCredentials({ authfile, env: options.env }),
        tls: async (host) => ({ ...(await hostTls(host)), verify: tlsVerify ?? true }),
      });
      const repository = client.repository(reference.repository);
      const opened = {
        fetchManifest: (target, wait) => repository.fetchManifest(target, wait),
        openContent: (descriptor, wait) => repository.openContent(descriptor, wait),
        [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
      } satisfies OpenedImage;
      registries.set(opened, signatureRegistry(client, repository));
      return opened;
    },
  } satisfies ImageSource;
}

// A caller's settings come instead of the runtime's. Who says where credentials are, by either way,
// must not be given the runtime's by the other.
function accessOf(options: RuntimeOptions, source: unknown): RegistryAccess {
  const given: RegistryAccess = typeof source === "object" && source !== null ? source : {};
  const { credentials, authfile } =
    given.credentials === undefined && given.authfile === undefined ? options : given;
  return {
    credentials,
    authfile,
    certDir: given.certDir ?? options.certDir,
    tlsVerify: given.tlsVerify ?? options.tlsVerify,
  };
}
