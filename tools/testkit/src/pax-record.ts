/** One keyword of an extended header. */
export type PaxRecord = readonly [keyword: string, value: string | Uint8Array];

/**
 * Writes the body of an extended header.
 *
 * @see https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html
 */
export function formatPax(records: readonly PaxRecord[]): Buffer {
  return Buffer.concat(records.map(formatRecord));
}

function formatRecord([keyword, value]: PaxRecord): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${keyword}=`), Buffer.from(value), Buffer.from("\n")]);
  // The length counts its own digits.
  let length = rest.length;
  while (String(length).length + rest.length !== length) {
    length = String(length).length + rest.length;
  }
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

/** Seconds and their nine decimals, as extended headers have times. */
export function formatPaxTime(nanoseconds: bigint): string {
  const second = 1_000_000_000n;
  const sign = nanoseconds < 0n ? "-" : "";
  const magnitude = nanoseconds < 0n ? -nanoseconds : nanoseconds;
  return `${sign}${magnitude / second}.${String(magnitude % second).padStart(9, "0")}`;
}
