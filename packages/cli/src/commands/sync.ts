import { parsePlatform } from "@stowage/content";
import { formatRepository, parseReference, type Repository, type Tag } from "@stowage/reference";
import type { SyncedTag } from "@stowage/runtime-shim";

import { readBoolean } from "../boolean-flag.ts";
import type { CommandContext, CommandInput, RunCommand } from "../command.ts";
import { exitCodeOf } from "../exit-code.ts";
import { describeFailure } from "../failure.ts";
import { refuseTransport } from "../image-argument.ts";
import { runtimeOptions } from "../open-runtime.ts";
import { readCount } from "../quantity.ts";
import { readSides } from "../side-flags.ts";
import { formatSize, renderTable, shortId } from "../table.ts";
import { transferLine } from "../transfer-line.ts";
import { UsageError } from "../usage-error.ts";

type Flags = CommandInput["flags"];

// Some tags failed, and the others are where they belong.
const PARTIAL = 11;

export const sync: RunCommand = async (context, { args: [from = "", to = ""], flags }) => {
  const [source, destination] = [readRepository(from), readRepository(to)];
  const names = { source: formatRepository(source), destination: formatRepository(destination) };
  context.at(`${names.source} to ${names.destination}`);
  const dryRun = flags["dryRun"] === true;
  const platforms = ((flags["platform"] ?? []) as readonly string[]).map(parsePlatform);
  const filter = readFilter(flags);
  const { syncRepositories } = await import("@stowage/runtime-shim");
  const done: SyncedTag[] = [];
  const { format, progress, quiet } = context.options;
  const isTold = format === "text" && progress && !quiet;
  // Whoever has seen each tag as it was done need not see them all again.
  const isSeen = isTold && context.stdout.isTTY && context.stderr.isTTY;
  const tell = (line: string | undefined): void => {
    if (isTold && line !== undefined) context.tell(line);
  };
  const tags = syncRepositories(source, destination, {
    ...(await runtimeOptions(context)),
    ...(await readSides(context, flags)),
    tlsVerify: readBoolean(flags["tlsVerify"], "--tls-verify"),
    filter,
    platforms,
    dryRun,
    withReferrers: flags["withReferrers"] === true,
    forceRecursive: flags["forceRecursive"] === true,
    concurrency: readCount(flags["concurrency"], "--concurrency"),
    onTransfer: (event) => tell(transferLine(event)),
  });
  try {
    for await (const one of tags) {
      done.push(one);
      tell(renderTags([one]));
    }
  } catch (error) {
    // What was done until then is done, and whoever interrupts a sync wants to know what.
    if (context.signal.aborted) print(context, { ...names, dryRun, complete: false }, done, isSeen);
    throw error;
  }
  print(context, { ...names, dryRun, complete: true }, done, isSeen);
  return exitCode(done);
};

function readRepository(text: string): Repository {
  refuseTransport(text, "sync takes repositories of registries");
  const { repository, tag, digest } = parseReference(text.replace(/^docker:\/\//u, ""));
  if (tag === undefined && digest === undefined) return repository;
  throw new UsageError("sync takes repositories, without a tag or digest", {
    hint: "Choose tags with --include and --exclude; stowage copy copies one.",
  });
}

function readFilter(flags: Flags): (tag: Tag) => boolean {
  const [include, exclude] = (["include", "exclude"] as const).map((name) =>
    ((flags[name] ?? []) as readonly string[]).map((text) => readPattern(text, `--${name}`)),
  );
  const matches = (patterns: readonly RegExp[] | undefined, tag: Tag): boolean =>
    patterns?.some((pattern) => pattern.test(tag)) ?? false;
  return (tag) => (include?.length === 0 || matches(include, tag)) && !matches(exclude, tag);
}

function readPattern(text: string, flag: string): RegExp {
  try {
    return new RegExp(`^(?:${text})$`, "u");
  } catch (error) {
    throw new UsageError(`${flag} takes a regular expression`, {
      cause: error,
      hint: String.raw`It is held against the whole tag, as 'v1\.[0-9]+' or '.*-slim'.`,
    });
  }
}

interface Head {
  readonly source: string;
  readonly destination: string;
  readonly dryRun: boolean;
  /** Whether it came to its end. */
  readonly complete: boolean;
}

function print(
  context: CommandContext,
  head: Head,
  done: readonly SyncedTag[],
  isSeen: boolean,
): void {
  const counts = { copied: 0, failed: 0, pending: 0, present: 0, bytes: 0 };
  for (const one of done) {
    counts[one.status] += 1;
    if (one.status !== "failed") counts.bytes += one.bytes;
  }
  const rows = done.toSorted((a, b) => (a.tag < b.tag ? -1 : 1));
  const tags = rows.map((one) =>
    one.status === "failed" ? { ...one, error: describeFailure(one.error) } : one,
  );
  const { bytes, ...ways } = counts;
  const sum = Object.entries(ways).flatMap(([way, count]) => (count > 0 ? `${count} ${way}` : []));
  const last = `${sum.join(", ") || "no tags"}; ${formatSize(bytes)}${head.complete ? "" : "; not all"}`;
  context.print(
    { ...head, ...counts, tags },
    [...(rows.length > 0 && !isSeen ? [renderTags(rows)] : []), last].join("\n"),
  );
}

/** A line for each tag; what can be done about one that failed stands below it. */
function renderTags(tags: readonly SyncedTag[]): string {
  const lines = renderTable(tags.map(rowOf)).split("\n");
  return tags
    .flatMap((one, at) => {
      const hint = one.status === "failed" ? describeFailure(one.error).hint : null;
      return [lines[at] ?? "", ...(hint === null ? [] : [`  ${hint}`])];
    })
    .join("\n");
}

function rowOf(one: SyncedTag): readonly string[] {
  if (one.status === "failed") {
    const digest = one.digest === undefined ? "-" : shortId(one.digest);
    return [one.status, one.tag, digest, describeFailure(one.error).message];
  }
  return [one.status, one.tag, shortId(one.digest), formatSize(one.bytes)];
}

/** All that failed may have failed alike; else nothing but that some did can be said. */
function exitCode(done: readonly SyncedTag[]): number {
  const failures = done.flatMap((one) => (one.status === "failed" ? [exitCodeOf(one.error)] : []));
  const [first] = failures;
  if (first === undefined) return 0;
  if (failures.length < done.length) return PARTIAL;
  return failures.every((code) => code === first) ? first : 1;
}
