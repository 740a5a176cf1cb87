import { Command, CommanderError, Option } from "commander";

import type { CommandContext, CommandInput, CommandSpec } from "./command.ts";
import { COMMANDS } from "./command-list.ts";
import { formatOf } from "./early-format.ts";
import { exitCodeOf } from "./exit-code.ts";
import { renderFailure } from "./failure.ts";
import { GLOBAL_OPTIONS, type GlobalOptions, readGlobalOptions } from "./global-options.ts";
import { createMessages } from "./messages.ts";
import { collect, guardOption } from "./option-guard.ts";
import { guardOutput } from "./output-streams.ts";
import { onSignals, type Signals } from "./signals.ts";
import { type Redact, redactorOf } from "./typed-secrets.ts";
import { UsageError } from "./usage-error.ts";

// As other tools take them.
const SECRET_OPTION = /'(?:--(?:src-|dest-)?(?:creds|username|password|registry-token)|-[pu])'/;

/** What the command line reads from and writes to; `process` has them. */
export interface CliStreams {
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Runs one command. Resolves to the exit code; never rejects. */
export async function runCli(argv: readonly string[], streams: CliStreams): Promise<number> {
  using signals = onSignals();
  const redact = redactorOf(argv);
  const output = guardOutput(streams.stdout, streams.stderr, signals);
  let exitCode = 0;
  let options: GlobalOptions | undefined;
  let subject: string | undefined;
  let endsBySignal = false;
  const program = createProgram(streams, async (spec, input) => {
    const context = createContext(
      input.flags,
      streams,
      signals,
      redact,
      (text) => (subject = text),
    );
    options = context.options;
    endsBySignal = spec.endsBySignal ?? false;
    const run = await spec.load();
    exitCode = (await run(context, input)) ?? 0;
  });
  try {
    await program.parseAsync([...argv], { from: "user" }).catch((error: unknown) => {
      if (!(error instanceof CommanderError && error.exitCode === 0)) throw error;
    });
    await output.finish();
    return endsBySignal && signals.exitCode !== 141 ? exitCode : (signals.exitCode ?? exitCode);
  } catch (error) {
    if (signals.exitCode !== undefined) {
      if (signals.exitCode !== 141) streams.stderr.write("stowage: interrupted\n");
      return signals.exitCode;
    }
    const failure = error instanceof CommanderError ? asUsageError(error) : error;
    const format = formatOf(argv, streams.env);
    if (format === "json" || !isToldAlready(failure))
      streams.stderr.write(renderFailure(failure, format, { options, subject, redact }));
    return exitCodeFrom(failure);
  }
}

function createProgram(
  streams: CliStreams,
  run: (spec: CommandSpec, input: CommandInput) => Promise<void>,
): Command {
  const program = new Command("stowage")
    .description("Pull, keep, mount and run container images")
    .exitOverride()
    .showSuggestionAfterError(false)
    .configureOutput({
      writeOut: (text) => streams.stdout.write(text),
      writeErr: () => {},
    });
  const globals = [
    ...GLOBAL_OPTIONS.map(([flags, env, words, repeat]) => {
      const option = new Option(flags, `${words} (${env})`);
      return repeat === undefined ? option : option.argParser(collect);
    }),
    new Option("--http2", "offer registries HTTP/2 (STOWAGE_HTTP2)"),
    new Option("--quiet", "tell only results (STOWAGE_QUIET)"),
    new Option("--no-progress", "do not show progress (STOWAGE_NO_PROGRESS)"),
  ];
  for (const option of globals) addOption(program, option);
  const groups = new Map<string, Command>();
  for (const spec of COMMANDS) {
    const words = spec.name.split(" ");
    const name = words.pop() ?? "";
    const parent = words[0] === undefined ? program : groupOf(program, groups, words[0]);
    const command = parent.command(`${name} ${spec.args}`.trim()).description(spec.summary);
    command.exitOverride().configureOutput(program.configureOutput()).allowExcessArguments(false);
    for (const [flags, text, repeat] of spec.flags ?? []) {
      const option = new Option(flags, text);
      addOption(command, repeat === undefined ? option : option.argParser(collect));
    }
    command.action(async () => {
      await run(spec, { args: command.args, flags: command.optsWithGlobals() });
    });
  }
  return program;
}

function addOption(command: Command, option: Option): void {
  command.addOption(option);
  guardOption(command, option);
}

function groupOf(program: Command, groups: Map<string, Command>, name: string): Command {
  const known = groups.get(name);
  if (known) return known;
  const group = program
    .command(name)
    .description(`commands about ${/^[aeiou]/.test(name) ? "an" : "a"} ${name}`)
    .exitOverride();
  group.configureOutput(program.configureOutput());
  groups.set(name, group);
  return group;
}

function createContext(
  flags: Readonly<Record<string, unknown>>,
  streams: CliStreams,
  signals: Signals,
  redact: Redact,
  at: (subject: string) => void,
): CommandContext {
  const { env, stdin, stdout, stderr } = streams;
  const options = readGlobalOptions(flags, env);
  return {
    options,
    env,
    stdin,
    stdout,
    stderr,
    signal: signals.signal,
    at,
    leaveNextSignal: () => signals.leaveNext(),
    ...createMessages(options, stderr, redact),
    print(value, text) {
      if (options.format === "json") stdout.write(`${JSON.stringify(value, null, 2)}\n`);
      else if (text !== "") stdout.write(`${text}\n`);
    },
  };
}

function asUsageError(error: CommanderError): UsageError {
  const isHelp = error.code === "commander.help";
  // A value that came with an unknown option may be a secret.
  const text = error.message.replace(/^error: /, "").replace(/'(--?[\w-]+)=.*'/s, "'$1'");
  const message = isHelp ? "a command is missing" : text.trim();
  const usual = "stowage --help lists the commands; stowage COMMAND --help its options.";
  const isOption = error.code === "commander.unknownOption";
  const more = SECRET_OPTION.test(message)
    ? "Passwords are read from standard input, by --creds-stdin or login --password-stdin: on the command line all the machine could see them."
    : "What a container is to run stands behind --.";
  return new UsageError(message, {
    cause: undefined,
    hint: isOption ? `${usual} ${more}` : usual,
  });
}

// By an OCI runtime, on the standard error that it was given.
function isToldAlready(error: unknown): boolean {
  return (error as { isTold?: unknown } | undefined)?.isTold === true;
}

function exitCodeFrom(error: unknown): number {
  const { exitCode } = (error ?? {}) as { exitCode?: unknown };
  return typeof exitCode === "number" ? exitCode : exitCodeOf(error);
}
