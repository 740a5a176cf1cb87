import { constants } from "node:fs";
import { type FileHandle, lstat, open, stat } from "node:fs/promises";
import { dirname, isAbsolute, join } from "node:path";

import { type Digest, digestOf, escapeText, hasErrorCode } from "@stowage/content";

import { checkScopes } from "./check/check-scopes.ts";
import { mayChange, mayReplace } from "./internal/writable-by-anybody.ts";
import { parsePolicy, type Policy } from "./policy.ts";
import { howToPermit } from "./internal/how-to-permit.ts";
import { PolicyError } from "./policy-error.ts";

/** Where {@link loadPolicy} looks. */
export interface LoadPolicyOptions {
  /** The one file to read; without it the user's file is read if it exists, else the system's. */
  readonly path?: string | undefined;
  /** Its `HOME` says where the user's file is. @defaultValue `process.env` */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** @defaultValue `/etc/containers/policy.json` */
  readonly systemPath?: string | undefined;
  /** A tenant that may have a policy of its own, which then is the one that is read. */
  readonly namespace?: PolicyNamespace | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Whose policy is asked for: `NAME.json` in the directory, if it is there. */
export interface PolicyNamespace {
  readonly directory: string;
  readonly name: string;
}

/** One policy as it was when its file was read. */
export interface LoadedPolicy {
  readonly file: string;
  /** Of the file's bytes: a verdict kept for later is stale once this differs. */
  readonly digest: Digest;
  /** When the file was written, as it says: one that is older than the last was put back. */
  readonly modified: Date;
  readonly policy: Policy;
  /** What is allowed but not meant: scopes that match nothing, files that anybody may change. */
  readonly warnings: readonly string[];
}

/** The policy of the machine, unless told otherwise. */
export const SYSTEM_POLICY_PATH = "/etc/containers/policy.json";

/** The most bytes of a policy that are read. */
export const MAX_POLICY_BYTES: number = 4 * 1024 * 1024;

const NAMESPACE = /^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$/;
const USER_POLICY_PATH = ".config/containers/policy.json";
const CREATE_HINT = "Run `stowage policy init` to write one that trusts what you name.";

/**
 * Reads the policy that is in force. There is none built in: without a file nothing is allowed.
 *
 * @throws {@link PolicyError} `ERR_POLICY_INVALID_ARGUMENT` if the name of a namespace is no name;
 *   `ERR_POLICY_NOT_FOUND` if there is no file; `ERR_POLICY_UNREADABLE` if it cannot be read or is no
 *   plain file; `ERR_POLICY_INVALID_CONFIG` as {@link parsePolicy} does, or
 *   if it is over {@link MAX_POLICY_BYTES}.
 */
export async function loadPolicy(options: LoadPolicyOptions = {}): Promise<LoadedPolicy> {
  const { namespace, signal } = options;
  const own = namespace && namespacePath(namespace);
  const candidates = policyPaths(options);
  for (const file of candidates) {
    signal?.throwIfAborted();
    await using handle = await openIfExists(file);
    if (handle === undefined) {
      if (file === own) await requireAbsent(file);
      continue;
    }
    const bytes = await readWhole(handle, file, signal);
    const policy = parsePolicy(bytes, { source: file });
    const { mtime: modified } = await handle.stat();
    const warnings = await warn(handle, file, policy);
    if (own !== undefined && file !== own) warnings.push(...(await missingDirectory(own)));
    return { file, digest: digestOf(bytes), modified, policy, warnings };
  }
  throw new PolicyError(
    "ERR_POLICY_NOT_FOUND",
    `no signature policy: there is no ${candidates.map((path) => escapeText(path)).join(", and no ")}`,
    { hint: CREATE_HINT },
  );
}

/** The files that {@link loadPolicy} looks for; the first that exists is the only one read. */
export function policyPaths(options: LoadPolicyOptions = {}): readonly string[] {
  const { path, env = process.env, systemPath = SYSTEM_POLICY_PATH, namespace } = options;
  const own = namespace === undefined ? [] : [namespacePath(namespace)];
  if (path !== undefined) return [...own, path];
  const home = env["HOME"];
  const user = home !== undefined && isAbsolute(home) ? [join(home, USER_POLICY_PATH)] : [];
  return [...own, ...user, systemPath];
}

function namespacePath({ directory, name }: PolicyNamespace): string {
  if (NAMESPACE.test(name)) return join(directory, `${name}.json`);
  throw new PolicyError("ERR_POLICY_INVALID_ARGUMENT", `${escapeText(name, 80)} is no namespace`, {
    hint: "Its name has letters, digits, dots, dashes and underscores, and begins with one of the first two.",
  });
}

// Where a tenant has a stricter policy than all others, a link that leads nowhere must not undo it.
async function requireAbsent(file: string): Promise<void> {
  try {
    await lstat(file);
  } catch (cause) {
    if (hasErrorCode(cause, "ENOENT")) return;
    throw await unreadable(file, "cannot be looked for", cause);
  }
  throw await unreadable(file, "is a link that leads nowhere");
}

async function openIfExists(file: string): Promise<FileHandle | undefined> {
  try {
    // Without O_NONBLOCK, opening a FIFO waits for a writer, who may never come.
    return await open(file, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (cause) {
    if (hasErrorCode(cause, "ENOENT", "ENOTDIR")) return undefined;
    throw await unreadable(file, "cannot be opened", cause);
  }
}

async function readWhole(
  handle: FileHandle,
  file: string,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const status = await handle.stat();
  if (!status.isFile()) throw await unreadable(file, "is not a plain file");
  const chunks: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    signal?.throwIfAborted();
    const chunk = await readChunk(handle, file);
    if (chunk.byteLength === 0) return Buffer.concat(chunks);
    chunks.push(chunk);
    size += chunk.byteLength;
    if (size > MAX_POLICY_BYTES) {
      throw new PolicyError(
        "ERR_POLICY_INVALID_CONFIG",
        `${escapeText(file)}: more than ${MAX_POLICY_BYTES} bytes`,
      );
    }
  }
}

const CHUNK_BYTES = 64 * 1024;

async function readChunk(handle: FileHandle, file: string): Promise<Uint8Array> {
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(CHUNK_BYTES), 0, CHUNK_BYTES);
    return buffer.subarray(0, bytesRead);
  } catch (cause) {
    throw await unreadable(file, "cannot be read", cause);
  }
}

async function unreadable(file: string, problem: string, cause?: unknown): Promise<PolicyError> {
  const [, why] = WORDS.find(([codes]) => hasErrorCode(cause, ...codes)) ?? [];
  const what = why === undefined ? problem : `${problem}: ${why}`;
  return new PolicyError("ERR_POLICY_UNREADABLE", `${escapeText(file)}: ${what}`, {
    ...(cause === undefined || why !== undefined ? {} : { cause }),
    hint: hasErrorCode(cause, "EACCES", "EPERM")
      ? `${await howToPermit(file)}. Until it can be read, every image is refused.`
      : "Until it can be read, every image is refused.",
  });
}

const WORDS: readonly (readonly [codes: readonly string[], why: string])[] = [
  [["EACCES", "EPERM"], "this user may not"],
  [["ELOOP"], "its links lead in a circle"],
];

/** That none has a policy there is usual; that there is no such directory is a slip. */
async function missingDirectory(own: string): Promise<readonly string[]> {
  const directory = dirname(own);
  try {
    await stat(directory);
    return [];
  } catch {
    return [`${escapeText(directory)}: is not there, so that no namespace has a policy of its own`];
  }
}

async function warn(handle: FileHandle, file: string, policy: Policy): Promise<string[]> {
  const name = escapeText(file);
  const warnings = checkScopes(policy)
    .filter(({ severity }) => severity === "error")
    .map(
      ({ path, line, problem }) => `${name}: ${path} ${line ? `in line ${line} ` : ""}${problem}`,
    );
  const folder = dirname(file);
  const parent = await stat(folder).catch(async (cause: unknown) => {
    throw await unreadable(file, "lies in a directory that cannot be examined", cause);
  });
  const writable = [
    ...mayChange(file, (await handle.stat()).mode),
    ...mayReplace(folder, parent.mode),
  ];
  return [...warnings, ...writable.map(({ problem }) => `${name}: ${problem}`)];
}
