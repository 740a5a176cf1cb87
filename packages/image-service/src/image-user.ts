/** Whom an image runs as: an ID, or a name that only its own files can translate. */
export interface ImageUser {
  /** As it is written, which may be more than the kernel takes, or negative. */
  readonly uid?: number;
  /** Empty if there is a `uid`, or if the image names no user. */
  readonly username: string;
}

const INTEGER = /^[+-]?[0-9]+$/;

/** Reads the `User` of a config: what stands before the first colon is an ID or a name. */
export function imageUser(user: string = ""): ImageUser {
  const [owner = ""] = user.split(":");
  const uid = INTEGER.test(owner) ? Number(owner) : Number.NaN;
  // An ID that a number cannot hold exactly would become somebody else's.
  return Number.isSafeInteger(uid) ? { uid: uid + 0, username: "" } : { username: owner };
}
