import { createRuntime } from "@stowage/runtime-shim";

/** `pull-once.ts OPTIONS NAME`: what `stowage pull` does, in a process of its own. */
const [options = "{}", name = ""] = process.argv.slice(2);
await using runtime = await createRuntime(JSON.parse(options));
const { canonical } = await runtime.images.pull(name, {});
console.log(canonical);
