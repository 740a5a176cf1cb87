import { StoreError } from "./store-error.ts";

/** A run of IDs, as `uidMappings` of the OCI runtime specification has them. */
export interface IdRange {
  /** The first ID in the image, and in the container. */
  readonly containerId: number;
  /** The first ID on this machine. */
  readonly hostId: number;
  readonly size: number;
}

/** Whom the users and groups of an image are on this machine. */
export interface IdMap {
  readonly uids: readonly IdRange[];
  readonly gids: readonly IdRange[];
}

const MAX_RANGES = 340;
const MAX_ID = 0xffff_fffe;

/** A map as text. */
export interface FormattedIdMap {
  readonly uids: string;
  readonly gids: string;
  /** Who root of the image is on this machine. */
  readonly rootUid: number;
  readonly rootGid: number;
  /** Both on one line; equal for equal maps. */
  readonly text: string;
}

/** @throws {@link StoreError} `ERR_STORE_INVALID_ARGUMENT` for no range, more than 340, IDs that
 * there are not, or ranges that overlap. */
export function formatIdMap(map: IdMap): FormattedIdMap {
  const uids = formatIdRanges(map.uids, "users");
  const gids = formatIdRanges(map.gids, "groups");
  const rootUid = hostIdOfRoot(map.uids, "users");
  const rootGid = hostIdOfRoot(map.gids, "groups");
  return {
    uids,
    gids,
    rootUid,
    rootGid,
    text: `${uids.trim()}|${gids.trim()}`.replaceAll("\n", ","),
  };
}

/** Writes ranges as the kernel wants them, one a line. */
function formatIdRanges(ranges: readonly IdRange[], what: string): string {
  const refuse = (reason: string): never => {
    throw new StoreError("ERR_STORE_INVALID_ARGUMENT", `the map of ${what}: ${reason}`);
  };
  if (ranges.length === 0 || ranges.length > MAX_RANGES) refuse(`1 to ${MAX_RANGES} ranges`);
  for (const range of ranges) {
    const { containerId, hostId, size } = range;
    const isWhole = [containerId, hostId, size].every((number) => Number.isSafeInteger(number));
    const isInside = Math.min(containerId, hostId) >= 0 && size >= 1;
    const last = Math.max(containerId, hostId) + size - 1;
    if (!isWhole || !isInside || last > MAX_ID) refuse(`${JSON.stringify(range)} has no such IDs`);
  }
  for (const side of ["containerId", "hostId"] as const) {
    const sorted = ranges.toSorted((one, other) => one[side] - other[side]);
    for (const [index, range] of sorted.entries()) {
      const next = sorted[index + 1];
      if (next && range[side] + range.size > next[side]) refuse(`two ranges have ${next[side]}`);
    }
  }
  return ranges
    .map(({ containerId, hostId, size }) => `${containerId} ${hostId} ${size}\n`)
    .join("");
}

function hostIdOfRoot(ranges: readonly IdRange[], what: string): number {
  const range = ranges.find(({ containerId }) => containerId === 0);
  if (range !== undefined) return range.hostId;
  const message = `the map of ${what}: it has no 0, whom the files of a mount belong to`;
  throw new StoreError("ERR_STORE_INVALID_ARGUMENT", message);
}
