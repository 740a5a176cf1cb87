import { readFileSync } from "node:fs";
import { join } from "node:path";

/** An entry of `test/vectors/registries-conf.json`. */
export interface Vector {
  readonly id: string;
  readonly input: {
    readonly op: string;
    readonly ref: string;
    readonly name: string;
    readonly key?: string;
    readonly conf?: string;
    readonly confFile?: string;
    readonly dropins?: Readonly<Record<string, string>>;
    readonly machineAliases?: string;
    readonly callerShortNameMode?: "disabled" | "enforcing" | "permissive";
    readonly files: Readonly<Record<string, string>> & readonly string[];
    readonly exists: readonly string[];
    readonly hostport: string;
    readonly "registries.conf"?: string;
  };
  readonly expect: Readonly<Record<string, unknown>>;
}

const ALL = JSON.parse(
  readFileSync(join(import.meta.dirname, "../vectors/registries-conf.json"), "utf8"),
) as readonly Vector[];

/** The vectors with one of these operations. */
export function vectorsOf(...operations: readonly string[]): readonly Vector[] {
  return ALL.filter(({ input }) => operations.includes(input.op));
}

/** Every operation of the file, so that a test can tell that none is left out. */
export const OPERATIONS: ReadonlySet<string> = new Set(ALL.map(({ input }) => input.op));
