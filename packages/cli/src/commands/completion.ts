import type { RunCommand } from "../command.ts";
import { COMMANDS } from "../command-list.ts";
import { GLOBAL_OPTIONS } from "../global-options.ts";
import { UsageError } from "../usage-error.ts";

/** What may follow `stowage`, and what each of it may be followed by. */
interface Words {
  readonly options: readonly string[];
  readonly commands: ReadonlyMap<string, readonly string[]>;
}

const SHELLS: Readonly<Record<string, (words: Words) => string>> = {
  bash: formatBash,
  fish: formatFish,
  zsh: (words) =>
    `#compdef stowage\nautoload -U +X bashcompinit && bashcompinit\n${formatBash(words)}`,
};

export const completion: RunCommand = async (context, { args: [shell = ""] }) => {
  const format = Object.hasOwn(SHELLS, shell) ? SHELLS[shell] : undefined;
  if (format === undefined) {
    throw new UsageError(`completion takes ${Object.keys(SHELLS).join(", ")}`);
  }
  const script = format(readWords());
  context.print({ shell, script }, script);
};

function readWords(): Words {
  const commands = new Map<string, readonly string[]>();
  for (const { name, flags = [] } of COMMANDS) {
    const [first = "", second] = name.split(" ");
    const words = second === undefined ? flags.map(([flag]) => wordOf(flag)) : [second];
    commands.set(first, [...(commands.get(first) ?? []), ...words]);
  }
  const words = GLOBAL_OPTIONS.map(([flag]) => wordOf(flag));
  const options = [...words, "--http2", "--quiet", "--no-progress"];
  return { options, commands };
}

function wordOf(flag: string): string {
  return flag.split(" ")[0] ?? flag;
}

function formatBash({ options, commands }: Words): string {
  const cases = [...commands].map(
    ([name, words]) => `    ${name}) words="${[...words, "--help"].join(" ")}" ;;`,
  );
  return `_stowage() {
  local word command="" words="${[...options, "--help", ...commands.keys()].join(" ")}"
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in
      -*) ;;
      ${[...commands.keys()].join("|")}) command="$word"; break ;;
    esac
  done
  case "$command" in
${cases.join("\n")}
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}")
}
complete -o default -F _stowage stowage`;
}

function formatFish({ options, commands }: Words): string {
  const names = [...commands.keys()].join(" ");
  const first = `complete -c stowage -n "not __fish_seen_subcommand_from ${names}"`;
  const lines = [...commands].flatMap(([name, words]) => [
    `${first} -f -a ${name}`,
    ...words.map((word) => {
      const what = word.startsWith("--") ? `-l ${word.slice(2)}` : `-f -a ${word}`;
      return `complete -c stowage -n "__fish_seen_subcommand_from ${name}" ${what}`;
    }),
  ]);
  return [...options.map((option) => `complete -c stowage -l ${option.slice(2)}`), ...lines].join(
    "\n",
  );
}
