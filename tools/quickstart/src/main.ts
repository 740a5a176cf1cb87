/**
 * The main job, on this machine, in a minute: an image of this host's own shell is assembled, served
 * by the project's own registry, pulled, listed, inspected and run by the command line.
 */
import { mkdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { serveDemoImage } from "./demo-image.ts";
import { settleRuntime } from "./oci-runtime.ts";
import { mustStowage, stowage } from "./stowage-command.ts";

const folder = join(tmpdir(), `stowage-quickstart-${process.getuid?.() ?? 0}`);
const root = join(folder, "root");
const policy = join(folder, "policy.json");
const env = { STOWAGE_ROOT: root, STOWAGE_RUN_ROOT: join(folder, "run"), STOWAGE_POLICY: policy };
const canMount = process.platform === "linux" && process.getuid?.() === 0;

let step = 0;
const say = (text: string): void => void process.stdout.write(`  ${text}\n`);
const begin = (text: string): void => {
  step += 1;
  process.stdout.write(`\n${step}. ${text}\n`);
};

await mkdir(folder, { recursive: true, mode: 0o700 });
await using demo = await serveDemoImage();

begin("An image");
say(
  `Assembled from ${demo.files} of this host's own files: a shell, a few commands, their libraries.`,
);
say(`Served by the project's own registry at ${demo.url} as ${demo.name}.`);
say("That is plain HTTP on the loopback, hence --tls-verify=false below.");

begin("A policy: without one, nothing is pulled");
await rm(policy, { force: true });
const pull = ["pull", "--tls-verify=false", demo.name];
const { code } = await stowage(pull, env);
if (code !== 7) throw new Error(`a pull without a policy ended with ${code}, not 7`);
await mustStowage(["policy", "init", "--trust", demo.name.split("/")[0] ?? ""], env);

begin("Pull");
await mustStowage(pull, env);

begin("Look at it");
await mustStowage(["images"], env);
await mustStowage(["inspect", demo.name], env);
say(`The store is at ${root}: an OCI image layout that skopeo and umoci read as well.`);
say(`The layers are unpacked below ${join(root, "layers")}.`);

begin("Run it");
if (!canMount) {
  say("Layers are mounted with overlayfs, which takes root on Linux; so this stops here.");
  say(`As root, this is the next command: stowage run ${demo.name}`);
} else if (await settleRuntime(say)) {
  const output = await mustStowage(["run", demo.name], env);
  if (!output.includes("Hello from a container")) throw new Error("the container did not greet");
  await mustStowage(["run", demo.name, "--", "/bin/cat", "/etc/motd"], env);
} else {
  // An earlier run's would have the name.
  await mustStowage(["pod", "rm", "quickstart"], env);
  const pod = await mustStowage(["pod", "create", "quickstart"], env);
  const container = await mustStowage(["create", "--pod", pod, demo.name], env);
  const bundle = await mustStowage(["start", container], env);
  await mustStowage(["stop", container], env);
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  say(`The bundle is written: ${bundle}`);
  say("With a runtime installed, mount its root again and run it:");
  say(`  ${variables.join(" ")} stowage start ${container}`);
  say(`  runc run --bundle ${bundle} quickstart`);
}

begin("Done");
say(
  `Nothing is mounted and nothing runs any more. What was pulled is kept in ${folder}; remove it as you like.`,
);
