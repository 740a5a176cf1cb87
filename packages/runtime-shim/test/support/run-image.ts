import { createRuntime, runFailureExitCode } from "@stowage/runtime-shim";

/** `run-image.ts OPTIONS RUN`: what `stowage run` does, in a process of its own. */
const [options = "{}", run = "{}"] = process.argv.slice(2);
await using runtime = await createRuntime(JSON.parse(options));
try {
  process.exitCode = await runtime.runContainer(JSON.parse(run));
} catch (error) {
  console.error(error);
  process.exitCode = runFailureExitCode(error);
}
