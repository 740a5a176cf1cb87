import { findOciRuntime } from "@stowage/runtime-shim";
import { ensurePeers, hasPeer } from "@stowage/testkit";

/** Whether a container can be run here; as root with apt, a runtime is installed if none can. */
export async function settleRuntime(say: (text: string) => void): Promise<boolean> {
  if (await tryFind(say)) return true;
  if (process.getuid?.() !== 0 || !hasPeer("apt-get")) return false;
  say("No OCI runtime works here, so runc is installed with apt.");
  const missing = await ensurePeers(["runc"]);
  if (missing.length > 0) say("runc could not be installed.");
  return tryFind(say);
}

async function tryFind(say: (text: string) => void): Promise<boolean> {
  try {
    const { runtime, passedOver } = await findOciRuntime();
    for (const { runtime: other, reason } of passedOver)
      say(`${other.name} is passed over: ${reason}`);
    say(`Containers are run by ${runtime.path}.`);
    return true;
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    return false;
  }
}
