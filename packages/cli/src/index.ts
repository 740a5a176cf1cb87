/**
 * The command line as a function, for programs that bring it along.
 *
 * @packageDocumentation
 */
export { type CliStreams, runCli } from "./cli.ts";
export { exitCodeOf, type ExitCode } from "./exit-code.ts";
