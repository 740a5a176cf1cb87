import { findOciRuntime, runBundle, runFailureExitCode } from "@stowage/runtime-shim";

/** `run-once.ts RUNTIME ID BUNDLE STATE_ROOT`: what `stowage run` does, in a process of its own. */
const [name, id = "", bundle = "", stateRoot = ""] = process.argv.slice(2);
try {
  const { runtime } = await findOciRuntime({ runtime: name });
  process.exitCode = await runBundle({ runtime, id, bundle, stateRoot });
} catch (error) {
  console.error(error);
  process.exitCode = runFailureExitCode(error);
}
