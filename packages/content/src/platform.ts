/**
 * What an image runs on.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/image-index.md#platform-variants
 * @module
 */
import { ContentError } from "./content-error.ts";
import { escapeText } from "./escape-text.ts";

/** Operating system and processor, in the names that Go gives them (`linux`, `amd64`). */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
  readonly "os.version"?: string;
  readonly "os.features"?: readonly string[];
}

const PART = /^[A-Za-z0-9_.-]+$/;

// Best first. An architecture without a row has no variants that stand in for one another.
const VARIANTS: Readonly<Record<string, readonly string[]>> = {
  arm: ["v8", "v7", "v6", "v5"],
  arm64: ["v8"],
};

const GO_ARCHITECTURE: Readonly<Record<string, string>> = {
  ia32: "386",
  loong64: "loong64",
  mips: "mips",
  mipsel: "mipsle",
  ppc64: "ppc64le",
  x64: "amd64",
};

/**
 * Reads `os/architecture[/variant]`.
 *
 * @throws {@link ContentError} `ERR_CONTENT_INVALID_PLATFORM` for any other form.
 */
export function parsePlatform(text: string): Platform {
  const [os, architecture, variant, ...rest] = text.split("/");
  const parts = variant === undefined ? [os, architecture] : [os, architecture, variant];
  if (rest.length > 0 || !parts.every((part) => part !== undefined && PART.test(part))) {
    throw new ContentError(
      "ERR_CONTENT_INVALID_PLATFORM",
      `"${escapeText(text)}" is not a platform`,
      { hint: "A platform is os/architecture or os/architecture/variant, such as linux/arm64." },
    );
  }
  return {
    os: os as string,
    architecture: architecture as string,
    ...(variant !== undefined && { variant }),
  };
}

/** `os/architecture[/variant]`. */
export function formatPlatform(platform: Platform): string {
  const { os, architecture, variant } = platform;
  return variant ? `${os}/${architecture}/${variant}` : `${os}/${architecture}`;
}

/** The platform of this process; `linux/amd64` where there is no `process`, as in a browser. */
export function hostPlatform(): Platform {
  const host = globalThis.process as NodeJS.Process | undefined;
  const { platform, arch } = host ?? { platform: "linux", arch: "x64" };
  return {
    os: platform === "win32" ? "windows" : platform,
    architecture: GO_ARCHITECTURE[arch] ?? arch,
  };
}

/**
 * The variants that serve `wanted`, best first; the empty string is an entry without a variant.
 *
 * A named variant is served by itself, then by the lower ones of its family, then by none; no
 * variant is served by none, then by the family from its top.
 */
export function acceptableVariants(wanted: Platform): readonly string[] {
  const family = VARIANTS[wanted.architecture] ?? [];
  if (!wanted.variant) return ["", ...family];
  const at = family.indexOf(wanted.variant);
  return at < 0 ? [wanted.variant, ""] : [...family.slice(at), ""];
}
