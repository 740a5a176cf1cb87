/**
 * Records: whether each can be read, and what it refers to is there.
 *
 * @module
 */
import { existsSync, lstatSync, readdirSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";

import { hasErrorCode, parseDigest } from "@stowage/content";

import { isContainerID } from "../container-record.ts";
import { readContainerOf } from "../container-records.ts";
import { findMounts } from "../find-mounts.ts";
import { indexedNames } from "../image-layout-index.ts";
import type { ImageID } from "../image-record.ts";
import { findImage, listImages, writeImage } from "../image-records.ts";
import { encodeName, readNameEntry, writeName } from "../name-index.ts";
import { findMissingImages, hasRecord } from "../missing-images.ts";
import { syncDirectory } from "../publish-file.ts";
import type { StoreContext } from "../store-context.ts";
import { containerPath, imagePath } from "../store-layout.ts";
import type { CheckRun, FoundDamage, Mended } from "./check-run.ts";
import { rebuildImage } from "./rebuild-image.ts";
import { setAside } from "./set-aside.ts";

type Readable = "absent" | "damaged" | "sound";

/** @returns The images whose records can not be had again. */
export async function checkImages(run: CheckRun): Promise<ReadonlySet<ImageID>> {
  const { context } = run;
  const missing = await findMissingImages(context);
  const lost = new Set<ImageID>();
  const entries = readdirSync(context.layout.images).filter((it) => /^[0-9a-f]{64}$/.test(it));
  run.counts.images += entries.length;
  const ids = entries.map((entry) => parseDigest(`sha256:${entry}`));
  for (const id of new Set([...ids, ...missing.keys()])) {
    run.signal?.throwIfAborted();
    const state = await tryRead(() => findImage(context, id));
    if (state === "sound" || (state === "absent" && !missing.has(id))) continue;
    const holder = missing.get(id);
    const found = damaged("image", id, state);
    const message = holder === undefined ? found.message : `${found.message}, though ${holder}`;
    await run.report({ ...found, message }, () => mendImage(run, id, lost));
  }
  return lost;
}

/** What others have done since the check looked comes first: it is read again under the locks. */
async function mendImage(run: CheckRun, id: ImageID, lost: Set<ImageID>): Promise<Mended> {
  const { context } = run;
  const record = await rebuildImage(run, id);
  using _gc = await context.lock("gc", "shared", run);
  using _images = await context.lock("images", "exclusive", run);
  const state = await tryRead(() => findImage(context, id));
  if (state === "sound") return { outcome: "repaired", remark: "somebody has stored it again" };
  if (state === "absent" && !(await findMissingImages(context)).has(id)) {
    return { outcome: "repaired", remark: "somebody has removed it" };
  }
  if (record !== undefined) {
    await writeImage(context, record);
    return { outcome: "repaired", remark: "written anew from the manifests that are here" };
  }
  lost.add(id);
  const path = imagePath(context.layout, id);
  if (hasRecord(context.layout, id)) return await setAside(context, path, "image");
  if (existsSync(path)) await setAside(context, path, "image");
  return { outcome: "left", remark: "it is lost, with its manifests or config: pull it again" };
}

/** @param lost - Images whose names mean nothing any more. */
export async function checkNames(run: CheckRun, lost: ReadonlySet<ImageID>): Promise<void> {
  const { context } = run;
  const missing = await findMissingImages(context);
  const indexed = new Map((await indexedNames(context)).map((it) => [encodeName(it.name), it]));
  const areAllImagesReadable = (await listImages(context)).damaged.length === 0;
  const known = { lost, indexed, areAllImagesReadable };
  for (const entry of readdirSync(context.layout.names)) {
    run.signal?.throwIfAborted();
    if (!/^[0-9a-f]{64}\.json$/.test(entry)) continue;
    run.counts.names += 1;
    const { state, imageId } = await tryReadName(context, entry);
    if (!existsSync(join(context.layout.names, entry))) continue;
    if (state === "sound" && (imageId === undefined || !missing.has(imageId))) continue;
    if (state === "sound" && !(await isStillDangling(run, entry))) continue;
    const fault = state === "sound" ? "no image" : state;
    await run.report(damaged("name", entry, fault), () => mendName(run, entry, known));
  }
}

async function isStillDangling(run: CheckRun, entry: string): Promise<boolean> {
  using _gc = await run.context.lock("gc", "shared", run);
  const { imageId } = await tryReadName(run.context, entry);
  return imageId !== undefined && !hasRecord(run.context.layout, imageId);
}

interface KnownNames {
  readonly lost: ReadonlySet<ImageID>;
  /** By the files of their records. */
  readonly indexed: ReadonlyMap<string, { readonly name: string; readonly imageId: ImageID }>;
  readonly areAllImagesReadable: boolean;
}

/** A name that others have set since the check looked, or removed, is theirs. */
async function mendName(
  run: CheckRun,
  entry: string,
  { lost, indexed, areAllImagesReadable }: KnownNames,
): Promise<Mended> {
  const { context } = run;
  const { layout } = context;
  using _gc = await context.lock("gc", "shared", run);
  using _names = await context.lock("names", "exclusive", run);
  const path = join(layout.names, entry);
  const { state, imageId } = await tryReadName(context, entry);
  if (!existsSync(path)) return { outcome: "repaired", remark: "somebody has removed it" };
  if (imageId !== undefined && hasRecord(layout, imageId)) {
    return { outcome: "repaired", remark: "somebody has set it again" };
  }
  if (state === "sound") {
    if (imageId !== undefined && lost.has(imageId)) return await setAside(context, path, "name");
    return { outcome: "left", remark: "it is a name again once the image has its record" };
  }
  const known = indexed.get(entry);
  if (known === undefined && !areAllImagesReadable) {
    return { outcome: "left", remark: "it may be a name of an image that can not be read yet" };
  }
  if (known === undefined || !hasRecord(layout, known.imageId)) {
    return await setAside(context, path, "name");
  }
  await writeName(context, known.name, known.imageId);
  return { outcome: "repaired", remark: `${known.name}, as index.json has it` };
}

async function tryReadName(
  context: StoreContext,
  entry: string,
): Promise<{ readonly state: Readable; readonly imageId?: ImageID }> {
  let imageId: ImageID | undefined;
  const state = await tryRead(async () => {
    const name = await readNameEntry(context, entry);
    imageId = name?.imageId;
    return name;
  });
  return { state, ...(imageId !== undefined && { imageId }) };
}

export async function checkContainers(run: CheckRun): Promise<void> {
  const { context } = run;
  for (const entry of readdirSync(context.layout.containers)) {
    run.signal?.throwIfAborted();
    if (!isContainerID(entry)) continue;
    run.counts.containers += 1;
    const path = containerPath(context.layout, entry);
    let imageId: ImageID | undefined;
    const state = await tryRead(async () => {
      const record = await readContainerOf(context, entry);
      imageId = record?.imageId;
      return record;
    });
    if (!existsSync(path)) continue;
    if (state !== "sound") {
      await run.report(damaged("container", entry, state), () => mendContainer(run, entry));
      continue;
    }
    if (imageId !== undefined && !hasRecord(context.layout, imageId) && existsSync(path)) {
      await run.report(damaged("container", entry, "no image"), async () => ({
        outcome: "left",
        remark: "pull its image again; until then it can not be made to differ from it",
      }));
    }
    await checkDirectories(run, entry, path);
  }
}

/** One that can not be read is not mounted anew; of one that is, the mount would be nobody's. */
async function mendContainer(run: CheckRun, id: string): Promise<Mended> {
  const { context } = run;
  using _containers = await context.lock("containers", "exclusive", run);
  if ((await tryRead(() => readContainerOf(context, id))) === "sound") {
    return { outcome: "repaired", remark: "somebody has written it again" };
  }
  if ((await findMounts(context.layout)).has(id)) {
    return { outcome: "left", remark: "it is mounted: stop it by its whole ID first" };
  }
  return await setAside(context, containerPath(context.layout, id), `container-${id}`);
}

/** The writable files of a container are in no other place; the other two can be made anew. */
async function checkDirectories(run: CheckRun, id: string, path: string): Promise<void> {
  for (const name of ["upper", "work", "userdata"]) {
    if (lstatSync(join(path, name), { throwIfNoEntry: false })?.isDirectory()) continue;
    if (!existsSync(join(path, "container.json"))) return;
    const found = { ...damaged("container", id, "missing"), path: name };
    const message = `container ${id}: its directory ${name} is missing`;
    await run.report({ ...found, message }, async (): Promise<Mended> => {
      if (name === "upper") return { outcome: "left", remark: "what it had written is lost" };
      await mkdir(join(path, name), { mode: 0o700 });
      await syncDirectory(path);
      return { outcome: "repaired" };
    });
  }
}

async function tryRead(read: () => Promise<unknown>): Promise<Readable> {
  try {
    return (await read()) === undefined ? "absent" : "sound";
  } catch (error) {
    if (hasErrorCode(error, "ERR_STORE_CORRUPT", "ERR_STORE_IO")) return "damaged";
    throw error;
  }
}

function damaged(
  kind: FoundDamage["kind"],
  id: string,
  state: FoundDamage["fault"] | Readable,
): FoundDamage {
  const fault =
    state === "absent" ? "no record" : state === "damaged" ? "unreadable record" : state;
  return {
    kind,
    id,
    fault: fault as FoundDamage["fault"],
    message: `${kind} ${id}: ${fault}`,
    usedBy: [],
  };
}
