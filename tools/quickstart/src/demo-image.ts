import { createMemoryContentStore } from "@stowage/content";
import { createMemoryTagStore, createRegistryServer } from "@stowage/registry-server";
import { hostShellEntries, putImage } from "@stowage/testkit";

/** The image, in the project's own registry, as long as the scope lasts. */
export interface ServedDemo extends AsyncDisposable {
  /** What to pull. */
  readonly name: string;
  readonly url: string;
  /** How many files of this host are in it. */
  readonly files: number;
}

/** Makes an image of this host's shell and serves it on a free port of the loopback. */
export async function serveDemoImage(): Promise<ServedDemo> {
  const content = createMemoryContentStore();
  const tags = createMemoryTagStore();
  const entries = hostShellEntries();
  const greeting =
    'echo "Hello from a container. My kernel is $(uname -r), my root has $(echo /*)"';
  const manifest = await putImage(content, {
    layers: [
      { entries },
      {
        entries: [{ name: "etc/motd", content: "Assembled by the quickstart.\n" }],
        compression: "zstd",
      },
    ],
    config: { Env: ["PATH=/bin"], Cmd: ["/bin/sh", "-c", greeting], WorkingDir: "/" },
  });
  await tags.put("demo/shell", manifest, "1.0");
  const server = createRegistryServer({ content, tags });
  const { url, host } = await server.listen();
  return {
    url,
    name: `${host}/demo/shell:1.0`,
    files: entries.filter(({ type = "file" }) => type === "file").length,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
