import { UsageError } from "./usage-error.ts";

/** What `create` and `run` say of the process, where it is not as the image says. */
export interface ProcessFlags {
  readonly command?: readonly string[];
  readonly env?: readonly string[];
  readonly cwd?: string;
  readonly user?: string;
}

export function readProcessFlags(
  command: readonly string[],
  flags: Readonly<Record<string, unknown>>,
): ProcessFlags {
  const env = (flags["env"] ?? []) as readonly string[];
  const bad = env.find((entry) => !/^[^=]+=/.test(entry));
  if (bad !== undefined) throw new UsageError("--env takes NAME=VALUE");
  const { workdir, user } = flags;
  return {
    ...(command.length > 0 && { command }),
    ...(env.length > 0 && { env }),
    ...(typeof workdir === "string" && { cwd: workdir }),
    ...(typeof user === "string" && { user }),
  };
}
