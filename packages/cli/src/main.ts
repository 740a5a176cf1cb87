#!/usr/bin/env node
import { runCli } from "./cli.ts";

// What this program makes is its owner's whatever the caller's umask takes away from others; one that
// takes away from the owner as well would make a store that its owner cannot read.
process.umask(process.umask() & 0o077);
process.exitCode = await runCli(process.argv.slice(2), process);
