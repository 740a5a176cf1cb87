/**
 * Tools that bring an image into a directory.
 *
 * @module
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";

import { requirePeer } from "@stowage/testkit";

import type { PullerFactory } from "./puller.ts";
import { clear } from "./stage.ts";

/** `skopeo copy` into an OCI layout, and `umoci unpack` of that. */
export const umociPuller: PullerFactory = directoryPuller(
  [
    '"$1" --insecure-policy copy --quiet --src-tls-verify=false "docker://$3" "oci:$4/image:it"',
    '"$2" unpack --image "$4/image:it" "$4/bundle"',
  ],
  ["skopeo", "umoci"],
  join("bundle", "rootfs"),
);

/** `oras copy` into an OCI layout, and `umoci unpack` of that. */
export const orasPuller: PullerFactory = directoryPuller(
  [
    '"$1" copy --from-plain-http --to-oci-layout "$3" "$4/image:it"',
    '"$2" unpack --image "$4/image:it" "$4/bundle"',
  ],
  ["oras", "umoci"],
  join("bundle", "rootfs"),
);

/** `crane export`, which flattens all layers into one archive, and `tar` to unpack it. */
export const cranePuller: PullerFactory = directoryPuller(
  ['mkdir "$4/root" && { "$1" export --insecure "$3" - || kill $$; } | "$2" -xpC "$4/root"'],
  ["crane", "tar"],
  "root",
);

/** `steps` see two programs, the reference and the folder as `$1` to `$4`. */
function directoryPuller(
  steps: readonly string[],
  programs: readonly [string, string],
  result: string,
): PullerFactory {
  return async (folder) => {
    const root = join(folder, "files");
    const paths = programs.map(requirePeer);
    const end = (): Promise<void> => clear(root);
    return {
      async reset() {
        await end();
        await mkdir(root);
      },
      clear: end,
      pull: (reference) => ({
        program: "sh",
        args: ["-c", steps.join(" && "), "sh", ...paths, reference, root],
      }),
      withRoot: (_, look) => look(join(root, result)),
      [Symbol.asyncDispose]: end,
    };
  };
}
