#!/usr/bin/env node
import { keepCompiledCode } from "./compiled-code.ts";
import { formatOf } from "./early-format.ts";
import { refuseNode } from "./supported-node.ts";
import { tellVersion } from "./tell-version.ts";

// What this program makes is its owner's whatever the caller's umask takes away from others; one that
// takes away from the owner as well would make a store that its owner cannot read.
process.umask(process.umask() & 0o077);
const argv = process.argv.slice(2);
const refusal = refuseNode(process.versions.node, formatOf(argv, process.env));
if (refusal !== undefined) {
  process.stderr.write(refusal);
  process.exitCode = 1;
} else if (!tellVersion(argv, process.env)) {
  keepCompiledCode(process.env);
  const { runCli } = await import("./cli.ts");
  process.exitCode = await runCli(argv, process);
}
