import { readFile, writeFile } from "node:fs/promises";

/** One thing that a hint may tell to do, and how somebody who takes it at its word does that. */
type Instruction = readonly [RegExp, (...words: string[]) => Promise<void>];

const SECTION = String.raw`(docker\["[^"]+"\]|default-docker)`;
const PLACE = String.raw`(\/\S+\.yaml), line (\d+)`;

const INSTRUCTIONS: readonly Instruction[] = [
  [
    RegExp(`correct ${PLACE}, ${SECTION}\\.\\S+?,? .*?("[a-z]+:[^"]+")`),
    (file, line, _, value) => edit(file, line, (text) => text.replace(/: .*/, `: ${value}`)),
  ],
  [
    /[Ww]rite ((?:default-)?docker: .*\}) into a new file (\S+\.yaml)/,
    (yaml, file) => put(file, yaml),
  ],
  [
    RegExp(`[Gg]ive ${SECTION} in ${PLACE}, the key (\\S+: \\S+?)\\.?(?: |$)`),
    (_, file, line, field) => edit(file, line, (text) => `${text}\n    ${field}`),
  ],
  [
    RegExp(`[Ww]rite (\\S+: \\S+) in place of ${PLACE}, ${SECTION}`),
    (field, file, line) => edit(file, line, (text) => text.replace(/\S.*/, field)),
  ],
  [
    RegExp(`${PLACE}, has ${SECTION}\\.(\\S+), which means nothing there: write ([^.]+)\\.`),
    (file, line, _, key, field) =>
      edit(file, line, (text) =>
        field.includes(":") ? text.replace(/\S.*/, field) : text.replace(key, field),
      ),
  ],
  [
    RegExp(
      `${PLACE}, has docker\\["([^"]+)"\\], which does not cover it: write docker\\["([^"]+)"\\]`,
    ),
    (file, line, scope, meant) => edit(file, line, (text) => text.replace(scope, meant)),
  ],
  [
    RegExp(
      `${PLACE}, has docker\\["[^"]+"\\], which .*?: move (\\S+) to docker\\["[^"]+"\\] in ${PLACE}`,
    ),
    async (from, first, key, to, line) => {
      const lines = (await readFile(from, "utf8")).split("\n");
      const at = lines.findIndex(
        (text, index) => index >= Number(first) && text.includes(`${key}:`),
      );
      const moved = lines[at] ?? "";
      lines[at] = "    # moved";
      await writeFile(from, lines.join("\n"));
      await edit(to, line, (text) => `${text}\n${moved}`);
    },
  ],
];

/** The requirement of a policy that a hint speaks of by its JSON path. */
export function requirementOf(policy: unknown, hint: string): Record<string, unknown> {
  const [, top = "", rest = ""] =
    /, (default|transports\.docker\["[^"]*"\])((?:(?:\.requirements)?\[\d+\])+)/.exec(hint) ?? [];
  const [, scope] = /"(.*)"/.exec(top) ?? [];
  const keys = scope === undefined ? ["default"] : ["transports", "docker", scope];
  const found = [...keys, ...(rest.match(/requirements|\d+/g) ?? [])].reduce<unknown>(
    (value, key) => (value as Record<string, unknown>)[key],
    policy,
  );
  return found as Record<string, unknown>;
}

/** Each thing that a hint tells to do, done to the letter by whoever calls it. */
export function remediesOf(hint: string): readonly (() => Promise<void>)[] {
  return INSTRUCTIONS.flatMap(([pattern, act]) => {
    const match = pattern.exec(hint);
    return match === null ? [] : [{ match, act }];
  })
    .toSorted((a, b) => a.match.index - b.match.index)
    .map(
      ({ match, act }) =>
        () =>
          act(...match.slice(1)),
    );
}

async function put(file = "", text = ""): Promise<void> {
  await writeFile(file, `${text}\n`, { flag: "wx" });
}

/** Changes one line, counted from 1. */
async function edit(file = "", line = "", change: (text: string) => string): Promise<void> {
  const lines = (await readFile(file, "utf8")).split("\n");
  const at = Number(line) - 1;
  lines[at] = change(lines[at] ?? "");
  await writeFile(file, lines.join("\n"));
}
