import type { GlobalOptions } from "./global-options.ts";
import type { Messages } from "./messages.ts";

/** What a command is given beside its own arguments. */
export interface CommandContext extends Messages {
  readonly options: GlobalOptions;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdin: NodeJS.ReadStream;
  /** To ask what it is; results go there by `print`. */
  readonly stdout: Pick<NodeJS.WriteStream, "isTTY">;
  readonly stderr: NodeJS.WriteStream;
  readonly signal: AbortSignal;
  /** Says what the command is at, for a failure that names nothing but a digest. */
  at(subject: string): void;
  /** Leaves the next signal that would end the command to a process that is told of it. */
  leaveNextSignal(): void;
  /** Prints a result: the value with `--format json`, else the text; a line end is added. */
  print(value: unknown, text: string): void;
}

/** What the parser has read of a command. */
export interface CommandInput {
  readonly args: readonly string[];
  readonly flags: Readonly<Record<string, unknown>>;
}

/** Does the work; what it resolves to is the exit code, 0 if nothing. */
export type RunCommand = (context: CommandContext, input: CommandInput) => Promise<number | void>;

/** A flag as the parser writes it, what it means, and whether it may be given several times. */
export type CommandFlag = readonly [flags: string, words: string, repeat?: "repeatable"];

/** A command as the parser knows it. Its work is loaded only when it is called. */
export interface CommandSpec {
  readonly name: string;
  /** As the parser writes arguments: `<ref>`, `[filter]`, `[cmd...]`. */
  readonly args: string;
  readonly summary: string;
  readonly flags?: readonly CommandFlag[];
  /** Whether it runs until it is told to stop, which is then no interruption. */
  readonly endsBySignal?: boolean;
  readonly load: () => Promise<RunCommand>;
}
