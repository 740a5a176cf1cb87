import { escapeText } from "@stowage/content";

import type { MountStore } from "./mount.ts";
import { reportFailures } from "./system-failure.ts";

/** The same mounts, whose failing system calls say what could not be mounted or unmounted. */
export function nameMountFailures(mounts: MountStore): MountStore {
  const report = <Result>(id: string, what: string, action: () => Promise<Result>) =>
    reportFailures(`${escapeText(id, 80)} can not be ${what}`, action);
  return {
    ...mounts,
    mountContainer: (id, how) => report(id, "mounted", () => mounts.mountContainer(id, how)),
    unmountContainer: (id, how) => report(id, "unmounted", () => mounts.unmountContainer(id, how)),
    mountImage: (id, how) => report(id, "mounted", () => mounts.mountImage(id, how)),
    unmountImage: (id, how) => report(id, "unmounted", () => mounts.unmountImage(id, how)),
  };
}
