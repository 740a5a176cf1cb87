import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import {
  type AllowedImage,
  createImageService,
  type ImageService,
  type ImageServiceOptions,
  type ImageWarning,
  type PolicySubject,
} from "@stowage/image-service";
import { openStore, type Store } from "@stowage/store";

import { createTestRegistry, LINUX, type TestRegistry } from "./test-registry.ts";

/** A service over a store of its own, and a registry that a test can look into. */
export interface TestWorld extends AsyncDisposable {
  readonly images: ImageService;
  readonly registry: TestRegistry;
  readonly store: Store;
  readonly warnings: ImageWarning[];
  readonly judged: PolicySubject[];
  /** Runs as the policy. */
  judge: (subject: PolicySubject) => Promise<AllowedImage | void>;
  /** Another service over the same store and registry, as a second process would have it. */
  service(options?: Partial<ImageServiceOptions>): ImageService;
}

export async function openWorld(options: Partial<ImageServiceOptions> = {}): Promise<TestWorld> {
  const dir = await mkdtemp(join(tmpdir(), "image-service-"));
  const store = await openStore({ root: join(dir, "root"), runRoot: join(dir, "run") });
  const registry = createTestRegistry();
  const warnings: ImageWarning[] = [];
  const judged: PolicySubject[] = [];
  const service = (more: Partial<ImageServiceOptions> = {}): ImageService =>
    createImageService({
      store,
      source: registry.source,
      policy: {
        async requireAllowed(subject) {
          judged.push(subject);
          return await world.judge(subject);
        },
      },
      defaultPlatform: LINUX,
      onWarning: (warning) => warnings.push(warning),
      ...more,
    });
  const world: TestWorld = {
    images: undefined as unknown as ImageService,
    registry,
    store,
    warnings,
    judged,
    judge: async () => undefined,
    service,
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]();
      await rm(dir, { recursive: true, force: true });
    },
  };
  return Object.assign(world, { images: service(options) });
}
