import { checkResult, libcFunction } from "./libc.ts";

const setfsuid = libcFunction<[number]>("setfsuid", ["uint"]);
const setfsgid = libcFunction<[number]>("setfsgid", ["uint"]);
const capget = libcFunction<[Uint8Array, Uint8Array]>("capget", ["pointer", "pointer"]);
const capset = libcFunction<[Uint8Array, Uint8Array]>("capset", ["pointer", "pointer"]);

const CAPABILITY_VERSION_3 = 0x2008_0522;
/** Effective, permitted, inheritable, for the lower 32 capabilities and then for the upper. */
const WORDS = 6;

/**
 * Does something with files as another user, on this thread, with all that this one may do: what is
 * made belongs to the other. The action has to be done when it returns.
 *
 * @throws {@link SystemError}
 */
export function withFileIdentity<Result>(uid: number, gid: number, action: () => Result): Result {
  const header = new Uint8Array(new Uint32Array([CAPABILITY_VERSION_3, 0]).buffer);
  const capabilities = new Uint8Array(WORDS * 4);
  checkResult(capget(header, capabilities), "capget");
  const ownGid = setfsgid(gid);
  const ownUid = setfsuid(uid);
  try {
    // The kernel takes some away with the user.
    checkResult(capset(header, capabilities), "capset");
    return action();
  } finally {
    setfsuid(ownUid);
    setfsgid(ownGid);
    checkResult(capset(header, capabilities), "capset");
  }
}
