import { type CrashWorld, NEW_NAME, POD, type StateName, SUBJECT } from "./crash-world.ts";
import type { SubjectView } from "./store-view.ts";
import { mustRunHere, type StowagePlace } from "./stowage.ts";

/** A command, and what may be seen of it. */
export interface Scenario {
  readonly name: string;
  readonly state: StateName;
  /** What has to be done on top of the state, such as mounting. */
  readonly prepare?: (place: StowagePlace) => Promise<unknown>;
  readonly args: (world: CrashWorld, place: StowagePlace) => readonly string[];
  readonly before: Partial<SubjectView>;
  readonly after: Partial<SubjectView>;
  /** What may be seen beside, when it was cut off. */
  readonly between?: readonly Partial<SubjectView>[];
  /** What is there once it was given again. @defaultValue {@link Scenario.after} */
  readonly again?: Partial<SubjectView>;
  /** What is otherwise where it was the power that was cut: nothing runs after a boot. */
  readonly afterBoot?: Pick<Scenario, "after" | "again" | "before" | "between">;
  /** What the command may end with beside 0 when it is given again and its work was done already. */
  readonly repeated?: number;
  /** What the command ends with when it did not do all that it should, and prints what is left. */
  readonly unfinished?: number;
  /** Whether the store is damaged until the command has been acknowledged. */
  readonly isDamaged?: boolean;
}

const start = (place: StowagePlace): Promise<string> => mustRunHere(place, "start", SUBJECT);

/** Every command that changes a store. */
export const SCENARIOS: readonly Scenario[] = [
  {
    name: "first pull",
    state: "nothing",
    args: ({ app }) => ["pull", "--tls-verify=false", app],
    before: { app: "absent" },
    after: { app: "named", garbage: 0 },
    between: [{ app: "nameless" }],
  },
  {
    name: "pull",
    state: "seed",
    args: ({ app }) => ["pull", "--tls-verify=false", app],
    before: { app: "absent" },
    after: { app: "named", garbage: 0 },
    between: [{ app: "nameless" }],
  },
  {
    name: "rmi",
    state: "pulled",
    args: ({ app }) => ["rmi", app],
    before: { app: "named" },
    after: { app: "absent", garbage: 0 },
    repeated: 3,
  },
  {
    name: "untag",
    state: "tagged",
    args: () => ["untag", NEW_NAME],
    before: { app: "named", alias: "there" },
    after: { app: "named", alias: "absent" },
    repeated: 3,
  },
  {
    name: "tag",
    state: "pulled",
    args: ({ app }) => ["tag", app, NEW_NAME],
    before: { alias: "absent" },
    after: { alias: "there" },
  },
  {
    name: "create",
    state: "pulled",
    args: ({ app }) => ["create", "--pod", POD, "--name", SUBJECT, app],
    before: { container: "absent" },
    after: { container: "created" },
    repeated: 10,
  },
  {
    name: "start",
    state: "created",
    args: () => ["start", SUBJECT],
    before: { container: "created" },
    after: { container: "running" },
    afterBoot: {
      before: { container: "created" },
      after: { container: "created" },
      again: { container: "running" },
    },
  },
  {
    name: "stop",
    state: "created",
    prepare: start,
    args: () => ["stop", SUBJECT],
    before: { container: "running" },
    after: { container: "stopped" },
    afterBoot: { before: { container: "created" }, after: { container: "created" } },
  },
  {
    name: "rm",
    state: "created",
    prepare: start,
    args: () => ["rm", SUBJECT],
    before: { container: "running" },
    after: { container: "absent" },
    between: [{ container: "stopped" }],
    afterBoot: { before: { container: "created" }, after: { container: "absent" }, between: [] },
  },
  {
    name: "gc",
    state: "garbage",
    args: () => ["gc", "--max-ingest-age", "0s"],
    before: { garbage: 3 },
    after: { garbage: 0 },
    between: [{ garbage: 1 }, { garbage: 2 }],
  },
  {
    name: "prune",
    state: "tagged",
    args: () => ["prune", "--unused-for", "0s"],
    before: { app: "named", alias: "there" },
    after: { app: "absent", alias: "absent", garbage: 0 },
  },
  {
    name: "export podman",
    state: "pulled",
    args: (_, { exportDir }) => ["export", "podman", exportDir],
    before: { exported: "absent", keepers: 0 },
    after: { app: "named", exported: "there", keepers: 1 },
    between: [
      { exported: "absent", keepers: 1 },
      { exported: "there", keepers: 1 },
    ],
  },
  {
    name: "fsck",
    state: "damaged",
    args: () => ["fsck", "--repair", "--tls-verify=false"],
    before: {},
    after: { app: "named", alias: "there", garbage: 0 },
    unfinished: 8,
    isDamaged: true,
  },
];

export function matches(view: SubjectView, wanted: Partial<SubjectView>): boolean {
  return (Object.keys(wanted) as (keyof SubjectView)[]).every((key) => view[key] === wanted[key]);
}
