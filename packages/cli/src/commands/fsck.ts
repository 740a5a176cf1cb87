import type { CheckReport, Damage } from "@stowage/runtime-shim";

import type { RunCommand } from "../command.ts";
import { openRuntime } from "../open-runtime.ts";
import { readSourceFlags } from "../source-flags.ts";

const DAMAGED = 8;
const MAX_USERS = 8;

/**
 * Ends with 8 while something is damaged or could not be looked at, and when an image is lost of which
 * nothing is left to set aside; with 0 when all of it was repaired or set aside.
 */
export const fsck: RunCommand = async (context, { flags }) => {
  const { deep, repair } = flags;
  await using runtime = await openRuntime(context, await readSourceFlags(context, flags));
  const report = await runtime.images.check({
    deep: deep === true,
    repair: repair === true,
    signal: context.signal,
  });
  context.print(report, renderReport(report, deep === true));
  return report.damages.some(isLeft) || report.unverified.length > 0 ? DAMAGED : 0;
};

const isLeft = ({ outcome }: Damage): boolean => outcome === "found" || outcome === "left";

function renderReport({ damages, checked, unverified }: CheckReport, isDeep: boolean): string {
  const { blobs, layers, images, names, containers } = checked;
  const isFound = damages.some(({ outcome }) => outcome === "found");
  const were = damages.length === 1 ? "1 was" : `${damages.length} were`;
  return [
    ...damages.flatMap(({ message, outcome, remark, usedBy }) => [
      `${outcome}: ${message}${remark === undefined ? "" : ` (${remark})`}`,
      ...(usedBy.length > 0 ? [`  used by ${listUsers(usedBy)}`] : []),
    ]),
    ...unverified.map(({ id, reason }) => `not compared: layer ${id}: ${reason}`),
    `checked ${blobs} blobs, ${layers} layers, ${images} images, ${names} names, ${containers} containers${isDeep ? ", byte by byte" : ""}: ${damages.length > 0 ? were : unverified.length > 0 ? "nothing that could be compared is" : "nothing is"} damaged`,
    ...(isFound ? ["`stowage fsck --repair` mends what can be, and fetches only what is bad"] : []),
  ].join("\n");
}

/** A base layer may have thousands of users. */
function listUsers(users: readonly string[]): string {
  const more = users.length - MAX_USERS;
  if (more <= 0) return users.join(", ");
  return `${users.slice(0, MAX_USERS).join(", ")} and ${more} more`;
}
