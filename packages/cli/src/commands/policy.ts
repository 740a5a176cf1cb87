import { createInterface } from "node:readline/promises";
import { join } from "node:path";

import { parsePlatform } from "@stowage/content";

import type { CommandContext, RunCommand } from "../command.ts";
import type { PolicyVerdict } from "@stowage/runtime-shim";
import { exitCodeOf } from "../exit-code.ts";
import { checkPullReference } from "../image-argument.ts";
import { openRuntime } from "../open-runtime.ts";
import { readNamespaceFlag, readSourceFlags } from "../source-flags.ts";
import { UsageError } from "../usage-error.ts";

export const policyInit: RunCommand = async (context, { flags }) => {
  const { createPolicyDocument, writePolicy } = await import("@stowage/runtime-shim");
  const { trust: given, trustAll, force } = flags;
  const flagged = (given ?? []) as readonly string[];
  const trust = flagged.length === 0 && trustAll !== true ? await askWhom(context) : flagged;
  const path = context.options.policy ?? usualPath(context.env);
  const text = createPolicyDocument({ trust, trustAll: trustAll === true });
  await writePolicy(path, text, { overwrite: force === true, signal: context.signal });
  context.print({ path }, path);
};

export const policyExplain: RunCommand = async (context, { args, flags }) => {
  const { platform, local } = flags;
  const { formatVerdict, isCopyLocation } = await import("@stowage/runtime-shim");
  const image = args[0] ?? "";
  const isLocation = isCopyLocation(image);
  if (local === true && isLocation) {
    throw new UsageError("--local is for a name or ID of the store, not for a location", {
      hint: "Leave out --local, or the transport.",
    });
  }
  await using runtime = await openRuntime(context, {
    ...(await readSourceFlags(context, flags)),
    ...readNamespaceFlag(flags),
  });
  const asked = runtime.explainPolicy(
    local === true || isLocation ? image : checkPullReference(image),
    {
      local: local === true,
      platform: typeof platform === "string" ? parsePlatform(platform) : undefined,
      signal: context.signal,
    },
  );
  const verdict = await asked.catch((error: unknown) => {
    // What is known although signatures could not be read goes before that they could not.
    const { verdict: known } = error as { readonly verdict?: PolicyVerdict };
    if (known !== undefined) context.print(known, formatVerdict(known));
    throw error;
  });
  context.print(verdict, formatVerdict(verdict));
  return verdict.allowed ? 0 : REJECTED;
};

export const policyCheck: RunCommand = async (context, { args }) => {
  const { checkPolicyFile } = await import("@stowage/runtime-shim");
  const { options, env, signal } = context;
  const { file, problems, failure } = await checkPolicyFile({
    path: args[0] ?? options.policy,
    registriesDPath: options.registriesD,
    env,
    signal,
  }).catch((error: unknown) => {
    throw args[0] === undefined ? error : Object.assign(error as Error, { policyFile: args[0] });
  });
  const lines = problems.flatMap(({ severity, path, line, problem, remedy }) => [
    `${severity}: ${path} ${line === undefined ? "" : `in line ${line} `}${problem}`,
    `  ${remedy}`,
  ]);
  context.print(
    { file, problems },
    problems.length === 0 ? `${file}: no mistakes found` : lines.join("\n"),
  );
  if (failure !== undefined) return exitCodeOf(failure);
  const errors = problems.filter(({ severity }) => severity === "error");
  if (errors.length === 0) return 0;
  return errors.every(({ code }) => code === "ERR_POLICY_INVALID_REGISTRIES_D") ? 1 : REJECTED;
};

/** The exit code of what a policy rejects, and of a policy that is wrong. */
const REJECTED = 7;

async function askWhom(context: CommandContext): Promise<readonly string[]> {
  if (!context.stdin.isTTY) {
    throw new UsageError("policy init needs to be told whom to trust", {
      hint: "--trust registry.example.com/team, once or several times; or --trust-all for everybody.",
    });
  }
  const { signal } = context;
  const lines = createInterface({ input: context.stdin, output: context.stderr });
  // While a line is edited, the terminal sends Ctrl-C as a key.
  lines.on("SIGINT", () => process.kill(process.pid, "SIGINT"));
  try {
    const question =
      "Registries or repositories to trust, separated by spaces (docker.io/library …): ";
    const answer = await lines.question(question, { signal }).catch((cause: unknown) => {
      signal.throwIfAborted();
      // The input has ended, or Ctrl-D was typed.
      throw new UsageError("nobody was named, so no policy was written", { cause });
    });
    const trust = answer.split(/\s+/).filter((scope) => scope !== "");
    if (trust.length === 0) throw new UsageError("nobody was named, so no policy was written");
    return trust;
  } finally {
    lines.close();
  }
}

function usualPath(env: CommandContext["env"]): string {
  if (process.getuid?.() === 0) return "/etc/containers/policy.json";
  if (env["HOME"]) return join(env["HOME"], ".config/containers/policy.json");
  throw new UsageError("HOME is not set, so there is no usual place for a policy", {
    hint: "Give one with --policy.",
  });
}
