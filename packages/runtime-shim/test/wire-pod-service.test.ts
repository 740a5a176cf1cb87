import type { ImageService } from "@stowage/image-service";
import { expect, test } from "vitest";

import { wirePodService } from "../src/wire-pod-service.ts";
import { CAN_MOUNT, openRuntimeWorld } from "./support/runtime-world.ts";
import { serveShellImage } from "./support/served-image.ts";

test.skipIf(!CAN_MOUNT)(
  `V86, G19: a name that moves while policy is asked about it makes no container${CAN_MOUNT ? "" : " (needs root)"}`,
  async () => {
    await using served = await serveShellImage();
    await using other = await serveShellImage({ config: { Cmd: ["/bin/true"] } });
    await using world = await openRuntimeWorld();
    const { images, store, pods } = world.runtime;
    await images.pull(served.name, {});
    await images.pull(other.name, {});
    const { id: podId } = await pods.createPodSandbox({ podName: "p" });
    const moving: ImageService = {
      ...images,
      async requireAllowed(name, options) {
        await images.requireAllowed(name, options);
        await images.tag(other.name, served.name);
      },
    };
    const racing = await wirePodService(store, moving, world.options);
    const container = { podId, containerName: "c", imageName: served.name };
    await expect(racing.createContainer(container)).rejects.toMatchObject({
      code: "ERR_RUNTIME_IMAGE_MOVED",
    });
    expect(await pods.listContainers()).toHaveLength(1);
  },
);
