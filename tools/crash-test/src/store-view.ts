/**
 * Opens a store after a crash and looks at everything in it.
 *
 * @module
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { createRuntime, type Runtime } from "@stowage/runtime-shim";

import {
  type CrashWorld,
  KEEPER,
  KEPT_NAME,
  mountsBelow,
  NEW_NAME,
  SUBJECT,
} from "./crash-world.ts";
import { lookAtExport } from "./export-view.ts";
import type { StowagePlace } from "./stowage.ts";

const TEMPLATE = "userdata/config.json";

/** What is there of what commands are about. */
export interface SubjectView {
  readonly app: "absent" | "named" | "nameless";
  readonly alias: "absent" | "there";
  readonly container: "absent" | "created" | "running" | "stopped" | "unknown";
  /** Blobs, layers and beginnings of downloads that nothing needs. */
  readonly garbage: number;
  readonly exported: "absent" | "there";
  /** Leases that outlive their process. */
  readonly keepers: number;
}

/** What was seen. */
export interface StoreView extends SubjectView {
  /** What must never be, whatever happened before. */
  readonly problems: readonly string[];
}

/** How to look. */
export interface LookOptions {
  /** Whether the image, its names and the container have to be there that were made before. */
  readonly hasKept: boolean;
  /** Whether every byte is compared, or only what records say. @defaultValue false */
  readonly isDeep?: boolean;
}

const NOTHING: SubjectView = {
  app: "absent",
  alias: "absent",
  container: "absent",
  garbage: 0,
  exported: "absent",
  keepers: 0,
};

/** Opens a store, which clears up after the crash, and checks all of it. */
export async function lookAtStore(
  world: CrashWorld,
  place: StowagePlace,
  options: LookOptions,
): Promise<StoreView> {
  const { root, runRoot, policy: policyPath, authfile } = place;
  let runtime: Runtime;
  try {
    runtime = await createRuntime({ root, runRoot, policyPath, authfile, tlsVerify: false });
  } catch (error) {
    const problems = [`the store can not be opened: ${String(error)}`];
    return { ...NOTHING, problems };
  }
  const problems: string[] = [];
  await using open = runtime;
  const { store, pods } = open;
  const attempt = async <T>(what: string, action: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await action();
    } catch (error) {
      problems.push(`${what}: ${String(error)}`);
      return undefined;
    }
  };
  const checked = await attempt("check", () => store.check({ deep: options.isDeep === true }));
  problems.push(...(checked?.damages ?? []).map((damage) => `damage: ${JSON.stringify(damage)}`));
  const { images, damaged } = await store.images.list();
  problems.push(...damaged.map((error) => `record: ${error.message}`));
  const names = new Map(
    (await store.images.allNames()).map(({ name, imageId }) => [name, imageId]),
  );
  const mountable = async (id: (typeof images)[number]["id"], files: CrashWorld["appFiles"]) => {
    const { mountPoint } = await store.mounts.mountImage(id);
    try {
      for (const [path, content] of files) {
        if (readFileSync(join(mountPoint, path), "utf8") !== content) {
          problems.push(`image ${id}: ${path} has other content`);
        }
      }
    } finally {
      await store.mounts.unmountImage(id);
    }
  };
  const otherId = names.get(world.other);
  if (options.hasKept) {
    if (otherId === undefined) problems.push(`lost: the name ${world.other}`);
    if (names.get(KEPT_NAME) !== otherId) problems.push(`lost: the name ${KEPT_NAME}`);
  }
  for (const { id } of images) {
    const isOther = id === otherId;
    const files = isOther ? world.otherFiles : world.appFiles;
    await attempt(`image ${id}`, () => mountable(id, files));
    await attempt(`inspect ${id}`, () => open.images.inspect(id));
  }
  for (const [name, id] of names) {
    if (!images.some((image) => image.id === id)) problems.push(`${name} names no image`);
  }
  const containers = (await attempt("containers", () => pods.listContainers())) ?? [];
  const keeper = containers.find((container) => container.names.includes(KEEPER));
  if (options.hasKept && keeper?.state !== "created") {
    problems.push(`lost: the container ${KEEPER}, which is ${keeper?.state ?? "absent"}`);
  }
  const subject = containers.find((container) => container.names.includes(SUBJECT));
  if (subject !== undefined && !existsSync(join(root, "containers", subject.id, TEMPLATE))) {
    problems.push(`half made: the container ${SUBJECT} can not be started`);
  }
  const expected = subject?.state === "running" ? [store.mounts] : [];
  const mounted = await mountsBelow(runRoot);
  if (mounted.length !== expected.length) problems.push(`mounted: ${mounted.join(", ")}`);
  const keepers = (await store.listLeases()).flatMap(({ id, purpose }) => (purpose ? [id] : []));
  problems.push(...leftovers(root, keepers));
  const exported = lookAtExport(place);
  problems.push(...exported.problems.map((problem) => `export: ${problem}`));
  const plan = await attempt("gc", () => store.collectGarbage({ dryRun: true, maxIngestAgeMs: 0 }));
  const garbage = plan?.items.filter(({ action }) => action === "remove").length ?? 0;
  const appId = names.get(world.app);
  const isHere = images.some(({ id }) => id !== otherId);
  return {
    app: appId !== undefined ? "named" : isHere ? "nameless" : "absent",
    alias: names.has(NEW_NAME) ? "there" : "absent",
    container: subject?.state ?? "absent",
    garbage,
    exported: exported.images === 0 ? "absent" : "there",
    keepers: keepers.length,
    problems,
  };
}

/** What a process that died had on its way; opening the store has to have removed it. */
function leftovers(root: string, keepers: readonly string[]): readonly string[] {
  // This process has the store open, and one directory of its own.
  const staging = readdirSync(join(root, "staging")).filter((name) => !name.endsWith(".lock"));
  return [
    ...(staging.length > 1 ? staging.map((name) => `left over: staging/${name}`) : []),
    ...readdirSync(join(root, "trash")).map((name) => `left over: trash/${name}`),
    ...readdirSync(join(root, "leases"))
      .filter((name) => !keepers.some((id) => name.startsWith(id)))
      .map((name) => `left over: leases/${name}`),
  ];
}
