/**
 * Which extended attributes of an archive may reach a file: none that the kernel's overlay or
 * security modules would take for their own.
 *
 * @module
 */
import { StoreError } from "../store-error.ts";
import type { ArchiveXattr } from "./pax-header.ts";

const CAPABILITY = "security.capability";
/** Access lists: what a directory hands down to all that is made in it, and what holds for a name. */
export const ACLS: readonly string[] = ["system.posix_acl_access", "system.posix_acl_default"];
const ACL_VERSION = 2;
const CAPABILITY_BYTES: Readonly<Record<number, number>> = { 0x02000000: 20, 0x03000000: 24 };
const REVISION_MASK = 0xff000000;
const ROOT_ID_START = 20;
const NO_ID = 0xffff_ffff;

/**
 * Whether an attribute is set on what is unpacked. The others are left out.
 *
 * @throws {@link StoreError} `ERR_STORE_INVALID_LAYER` for an access list that is none.
 */
export function isXattrAllowed({ name, value }: ArchiveXattr): boolean {
  if (name.startsWith("user.")) {
    return name.length > "user.".length && !name.startsWith("user.overlay.");
  }
  if (name === CAPABILITY) return isCapability(value);
  if (!ACLS.includes(name)) return false;
  if (isAccessList(value)) return true;
  throw new StoreError("ERR_STORE_INVALID_LAYER", `${name} is no access list`);
}

/** Whether overlayfs would take an attribute for its own: it would change what is seen of a layer. */
export function isOverlayXattr({ name }: Pick<ArchiveXattr, "name">): boolean {
  return name.startsWith("trusted.overlay.") || name.startsWith("user.overlay.");
}

/** Kernels answer to one of another version as file systems do that have none. */
function isAccessList(value: Buffer): boolean {
  const { length } = value;
  return length >= 4 && (length - 4) % 8 === 0 && value.readUInt32LE(0) === ACL_VERSION;
}

function isCapability(value: Buffer): boolean {
  if (value.length < 4) return false;
  const revision = (value.readUInt32LE(0) & REVISION_MASK) >>> 0;
  if (CAPABILITY_BYTES[revision] !== value.length) return false;
  // Revision 3 says for which user namespace, by the user who is root there.
  return value.length <= ROOT_ID_START || value.readUInt32LE(ROOT_ID_START) !== NO_ID;
}
