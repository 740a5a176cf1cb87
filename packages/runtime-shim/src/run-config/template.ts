/**
 * A container's run configuration: a template in its work directory, written once; and what each
 * start makes of it, in its run directory.
 *
 * @module
 */
import { randomUUID } from "node:crypto";
import { constants, readFileSync } from "node:fs";
import { link, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";

import { hasErrorCode, parseJsonDocument } from "@stowage/content";

import { RuntimeError } from "../runtime-error.ts";
import { resolveUser } from "./container-user.ts";
import { type OciConfig, USER_ANNOTATION } from "./oci-config.ts";
import { workingDirectoryOf } from "./oci-process.ts";
import { requireDirectories, resolveInRoot } from "./path-in-root.ts";

/** What {@link writeBundle} works on. */
export interface BundleInit {
  /** Where the template is. */
  readonly workDir: string;
  /** Where the result goes: the bundle directory that an OCI runtime takes. */
  readonly runDir: string;
  /** Where the container's root file system is mounted. */
  readonly mountPoint: string;
}

/** The name of the template, and of what is made of it. */
export const CONFIG_FILE = "config.json";

const MAX_TEMPLATE_BYTES = 8 * 1024 * 1024;

type JsonObject = Readonly<Record<string, unknown>>;

/**
 * Writes the template, durably. There is no way to change it.
 *
 * @throws {@link RuntimeError} `ERR_RUNTIME_TEMPLATE_EXISTS` if there is one.
 */
export async function writeTemplate(workDir: string, config: OciConfig): Promise<void> {
  const staged = join(workDir, `.${CONFIG_FILE}.${randomUUID()}`);
  try {
    await writeWhole(staged, `${JSON.stringify(config, undefined, 2)}\n`, true);
    await link(staged, join(workDir, CONFIG_FILE));
  } catch (cause) {
    if (!hasErrorCode(cause, "EEXIST")) throw cause;
    throw new RuntimeError("ERR_RUNTIME_TEMPLATE_EXISTS", `${workDir}: has a template`, { cause });
  } finally {
    await rm(staged, { force: true });
  }
  await using directory = await open(workDir, constants.O_RDONLY | constants.O_DIRECTORY);
  await directory.sync();
}

/**
 * Writes the configuration of one start: the template, with the root file system where it is mounted
 * now, and the user looked up there.
 *
 * @returns the bundle directory.
 * @throws {@link RuntimeError} `ERR_RUNTIME_NO_TEMPLATE`, `ERR_RUNTIME_INVALID_TEMPLATE`;
 *   `ERR_RUNTIME_UNSAFE_ROOT` where the image has links instead of directories to mount over;
 *   `ERR_RUNTIME_USER_NOT_FOUND`, `ERR_RUNTIME_INVALID_PROCESS`.
 */
export async function writeBundle({ workDir, runDir, mountPoint }: BundleInit): Promise<string> {
  const template = await readTemplate(workDir);
  await requireDirectories(mountPoint, ["/proc", "/sys", "/dev"]);
  const config = {
    ...template,
    process: await completeProcess(template, mountPoint),
    root: { ...objectIn(template, "root"), path: mountPoint },
  };
  const staged = join(runDir, `.${CONFIG_FILE}.${randomUUID()}`);
  try {
    await writeWhole(staged, `${JSON.stringify(config, undefined, 2)}\n`, false);
    await rename(staged, join(runDir, CONFIG_FILE));
  } catch (error) {
    await rm(staged, { force: true });
    throw error;
  }
  return runDir;
}

async function completeProcess(template: JsonObject, root: string): Promise<JsonObject> {
  const process = objectIn(template, "process");
  const user = objectIn(template, "annotations")[USER_ANNOTATION];
  if (typeof process["cwd"] === "string") {
    // A link of the image's could lead where a path under /proc is refused.
    workingDirectoryOf(await resolveInRoot(root, process["cwd"]));
  }
  if (typeof user !== "string") return process;
  return { ...process, user: { ...objectIn(process, "user"), ...(await resolveUser(root, user)) } };
}

async function readTemplate(workDir: string): Promise<JsonObject> {
  const path = join(workDir, CONFIG_FILE);
  let bytes: Buffer;
  try {
    // The asynchronous one takes a read that gives less than there is for the last.
    bytes = readFileSync(path);
  } catch (cause) {
    if (!hasErrorCode(cause, "ENOENT")) throw cause;
    throw new RuntimeError("ERR_RUNTIME_NO_TEMPLATE", `${path}: is not there`, { cause });
  }
  try {
    const document = parseJsonDocument(bytes, { maxBytes: MAX_TEMPLATE_BYTES });
    if (typeof document === "object" && document !== null && !Array.isArray(document)) {
      return document as JsonObject;
    }
  } catch (cause) {
    throw new RuntimeError("ERR_RUNTIME_INVALID_TEMPLATE", `${path}: not JSON`, { cause });
  }
  throw new RuntimeError("ERR_RUNTIME_INVALID_TEMPLATE", `${path}: not a JSON object`);
}

function objectIn(parent: JsonObject, key: string): JsonObject {
  const value = parent[key] ?? {};
  if (typeof value === "object" && !Array.isArray(value)) return value as JsonObject;
  throw new RuntimeError("ERR_RUNTIME_INVALID_TEMPLATE", `template: ${key} is not an object`);
}

async function writeWhole(path: string, text: string, durable: boolean): Promise<void> {
  await using file = await open(path, "wx", 0o600);
  await file.writeFile(text);
  if (durable) await file.sync();
}
