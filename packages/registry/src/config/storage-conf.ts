import { readFile } from "node:fs/promises";
import { homedir, userInfo } from "node:os";
import { isAbsolute, join } from "node:path";

import { hasErrorCode } from "@stowage/content";

import { RegistryError } from "../registry-error.ts";
import { invalidConfig, TomlDocument } from "./toml-document.ts";

/** Where {@link loadStorageConf} looks. */
export interface LoadStorageConfOptions {
  /** @defaultValue `process.env` */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** Where the system's own configuration is. @defaultValue `/etc` and `/usr/share` */
  readonly system?: readonly string[] | undefined;
  /** The user who asks; 0 has the system's store. @defaultValue that of the process */
  readonly uid?: number | undefined;
}

/** Where podman, skopeo and others keep images that they have pulled. */
export interface StorageConf {
  /** The file that says so; `undefined` if none does. */
  readonly file: string | undefined;
  /** `overlay`, …; `undefined` if nobody says. */
  readonly driver: string | undefined;
  readonly graphRoot: string;
  /** Further stores, which are only read. */
  readonly imageStores: readonly string[];
}

type Environment = Readonly<Record<string, string | undefined>>;

const SYSTEM_ROOT = "/var/lib/containers/storage";

/**
 * The store that podman uses unless told: of `$CONTAINERS_STORAGE_CONF`,
 * `~/.config/containers/storage.conf` (for others than root), `/etc/containers/storage.conf` and
 * `/usr/share/containers/storage.conf` the first that is there, `$STORAGE_DRIVER` before what it says
 * of the driver. What the system's file says of `graphroot` is root's alone; others have
 * `rootless_storage_path`, or their own folder.
 *
 * @throws {@link RegistryError} `ERR_REGISTRY_INVALID_CONFIG` with file, line and key.
 * @see https://github.com/containers/storage/blob/v1.43.0/docs/containers-storage.conf.5.md
 */
export async function loadStorageConf(options: LoadStorageConfOptions = {}): Promise<StorageConf> {
  const { env = process.env, uid = process.getuid?.() ?? 0 } = options;
  const { system = ["/etc", "/usr/share"] } = options;
  const home = env["HOME"] || homedir();
  const own = join(env["XDG_CONFIG_HOME"] || join(home, ".config"), "containers/storage.conf");
  const named = env["CONTAINERS_STORAGE_CONF"];
  const places = named
    ? [named]
    : [...(uid === 0 ? [] : [own]), ...system.map((at) => join(at, "containers/storage.conf"))];
  const isSystems = (file: string): boolean => !named && file !== own;
  const usual =
    uid === 0
      ? SYSTEM_ROOT
      : join(env["XDG_DATA_HOME"] || join(home, ".local/share"), "containers/storage");
  for (const file of places) {
    const bytes = await readConfig(file, file === named);
    if (bytes === undefined) continue;
    return told(() => readStorageFile(file, bytes, env, uid !== 0 && isSystems(file), usual));
  }
  return {
    file: undefined,
    driver: env["STORAGE_DRIVER"] || undefined,
    graphRoot: usual,
    imageStores: [],
  };
}

function readStorageFile(
  file: string,
  bytes: Uint8Array,
  env: Environment,
  isOthers: boolean,
  usual: string,
): StorageConf {
  const storage = new TomlDocument(file, bytes).root.table("storage");
  const path = (key: string): string | undefined => {
    const text = storage?.string(key);
    if (text === undefined || text === "") return undefined;
    const expanded = expand(text, env);
    if (isAbsolute(expanded)) return expanded;
    throw storage?.invalid(key, "is no absolute path");
  };
  const options = storage?.table("options");
  const imageStores = options?.strings("additionalimagestores") ?? [];
  const relative = imageStores.some((store) => !isAbsolute(expand(store, env)));
  if (relative) throw options?.invalid("additionalimagestores", "has a path that is not absolute");
  return {
    file,
    driver: env["STORAGE_DRIVER"] || storage?.string("driver") || undefined,
    graphRoot: (isOthers ? path("rootless_storage_path") : path("graphroot")) ?? usual,
    imageStores: imageStores.map((store) => expand(store, env)),
  };
}

function expand(text: string, env: Environment): string {
  const values: Readonly<Record<string, () => string>> = {
    HOME: () => env["HOME"] || homedir(),
    UID: () => String(process.getuid?.() ?? ""),
    USER: () => env["USER"] || userInfo().username,
  };
  return text.replace(/\$(HOME|UID|USER)\b/gu, (all, name: string) => values[name]?.() ?? all);
}

async function readConfig(file: string, required: boolean): Promise<Uint8Array | undefined> {
  try {
    return await readFile(file);
  } catch (cause) {
    if (!required && hasErrorCode(cause, "ENOENT", "ENOTDIR")) return undefined;
    throw invalidConfig(`${file}: it cannot be read`, cause);
  }
}

/** What is wrong with a file, with what helps about this one. */
function told<Result>(read: () => Result): Result {
  try {
    return read();
  } catch (cause) {
    if (!hasErrorCode(cause, "ERR_REGISTRY_INVALID_CONFIG")) throw cause;
    throw new RegistryError("ERR_REGISTRY_INVALID_CONFIG", cause.message, {
      cause,
      hint: "Mend the file, or name the store: containers-storage:[overlay@/GRAPHROOT]NAME.",
    });
  }
}
