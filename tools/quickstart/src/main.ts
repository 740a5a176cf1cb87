/**
 * The main job, on this machine, in a minute: an image of this host's own shell is assembled, served
 * by the project's own registry, pulled, listed, inspected and run by the command line.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";

import { serveDemoImage } from "./demo-image.ts";
import { openFolder } from "./folder.ts";
import { settleRuntime } from "./oci-runtime.ts";
import { createStowage } from "./stowage-command.ts";

const POD = "quickstart";

const folder = await openFolder();
const root = join(folder, "root");
const policy = join(folder, "policy.json");
const stowage = createStowage({
  STOWAGE_ROOT: root,
  STOWAGE_RUN_ROOT: join(folder, "run"),
  STOWAGE_POLICY: policy,
});
const canMount = process.platform === "linux" && process.getuid?.() === 0;

let step = 0;
const say = (text: string): void => void process.stdout.write(`  ${text}\n`);
const begin = (text: string): void => {
  step += 1;
  process.stdout.write(`\n${step}. ${text}\n`);
};

await using demo = await serveDemoImage();

begin("An image");
say(
  `Assembled from ${demo.files} of this host's own files: a shell, a few commands, their libraries.`,
);
say(`Served by the project's own registry at ${demo.url} as ${demo.name}.`);
say("That is plain HTTP on the loopback, hence --tls-verify=false below.");
await forgetEarlierRun();

begin("A policy: without one, nothing is pulled");
const pull = ["pull", "--tls-verify=false", demo.name];
const { code } = await stowage.run(...pull);
if (code !== 7) throw new Error(`a pull without a policy ended with ${code}, not 7`);
await stowage.must("policy", "init", "--trust", demo.name.split("/")[0] ?? "");

begin("Pull");
await stowage.must(...pull);

begin("Look at it");
await stowage.must("images");
await stowage.must("inspect", demo.name);
say(`The store is at ${root}: an OCI image layout that skopeo and umoci read as well.`);
say(`The layers are unpacked below ${join(root, "layers")}.`);

begin("Run it");
if (!canMount) await prepareForRoot();
else if (await settleRuntime(say)) await runIt();
else await prepareForRuntime();

begin("Done");
say(
  `Nothing is mounted and nothing runs any more. What was pulled is kept in ${folder}; remove it as you like.`,
);

/** The registry had another port then, so that its image has another name. */
async function forgetEarlierRun(): Promise<void> {
  await rm(policy, { force: true });
  await stowage.ask("pod", "rm", POD);
  const { output } = await stowage.ask("--format", "json", "images");
  const images = JSON.parse(output || "[]") as readonly { readonly id: string }[];
  for (const { id } of images) await stowage.ask("rmi", id);
  if (images.length > 0) say("What an earlier run had pulled is removed.");
}

async function runIt(): Promise<void> {
  const output = await stowage.must("run", demo.name);
  if (!output.includes("Hello from a container")) throw new Error("the container did not greet");
  await stowage.must("run", demo.name, "--", "/bin/cat", "/etc/motd");
}

async function createContainer(): Promise<string> {
  const pod = await stowage.must("pod", "create", POD);
  return stowage.must("create", "--pod", pod, demo.name);
}

async function prepareForRuntime(): Promise<void> {
  const container = await createContainer();
  const bundle = await stowage.must("start", container);
  await stowage.must("stop", container);
  say(`The bundle is written: ${bundle}`);
  say("With a runtime installed, this mounts its root again, runs it, and unmounts:");
  say(`  ${stowage.typed("start", container)}`);
  say(`  runc run --bundle ${bundle} ${POD}`);
  say(`  ${stowage.typed("stop", container)}`);
}

async function prepareForRoot(): Promise<void> {
  say(
    "Layers are mounted with overlayfs, which takes root on Linux; so nothing is mounted or run.",
  );
  say("Instead, the container is made, with the run configuration that each start completes.");
  const { workDir } = JSON.parse(await stowage.must("status", await createContainer())) as {
    readonly workDir: string;
  };
  say(`That configuration is ${join(workDir, "config.json")}.`);
  say("A store belongs to whoever made it, so root has one of its own. As root, on Linux:");
  say("  npx -y pnpm@12 quickstart");
}
