import type { CommandSpec } from "./command.ts";

const PLATFORM_FLAG = [
  "--platform <platform>",
  "os/architecture[/variant] instead of this host's",
] as const;

const SOURCE_FLAGS = [
  ["--tls-verify <boolean>", "false: trust any server, and plain HTTP"],
  ["--creds-stdin", "read user:password from standard input"],
] as const;

const NAMESPACE_FLAG = [
  "--namespace <name>",
  "whose policy is asked: NAME.json in --policy-dir, if it is there",
] as const;

const COPY_FLAGS = [
  ["--platform <platform>", "only this one of an index; again for more", "repeatable"],
  ["--all-platforms", "never one image in place of an index"],
  ["--tls-verify <boolean>", "false: trust any server, and plain HTTP"],
] as const;

const SIDE_FLAGS = [
  ["--src-tls-verify <boolean>", "as --tls-verify, for the source alone"],
  ["--dest-tls-verify <boolean>", "as --tls-verify, for the destination alone"],
  ["--src-creds-stdin", "read the source's user:password from standard input"],
  ["--dest-creds-stdin", "read the destination's user:password from standard input"],
] as const;

const RUN_FLAGS = [
  ["--env <name=value>", "set in the process's environment", "repeatable"],
  ["--workdir <dir>", "the process's working directory"],
  ["--user <user[:group]>", "whom the process runs as"],
] as const;

/** Every command, in the order that help shows them in. */
export const COMMANDS: readonly CommandSpec[] = [
  {
    name: "pull",
    args: "<ref>",
    summary: "pull an image; prints its canonical reference",
    flags: [
      PLATFORM_FLAG,
      ["--require-tag-match", "of NAME:TAG@DIGEST, fail if the tag is another digest by now"],
      ["--whole", "fetch layers whole, also where parts of them are here"],
      NAMESPACE_FLAG,
      ...SOURCE_FLAGS,
    ],
    load: async () => (await import("./commands/pull.ts")).pull,
  },
  {
    name: "login",
    args: "<registry>",
    summary: "check a user and password at a registry, and keep them",
    flags: [
      ["--username <name>", "who you are"],
      ["--password-stdin", "read the password from standard input"],
      ["--tls-verify <boolean>", "false: trust any server, and plain HTTP"],
    ],
    load: async () => (await import("./commands/login.ts")).login,
  },
  {
    name: "logout",
    args: "[registry]",
    summary: "forget the credentials for a registry",
    flags: [["--all", "for all registries"]],
    load: async () => (await import("./commands/login.ts")).logout,
  },
  {
    name: "images",
    args: "[filter]",
    summary: "list images; FILTER is a name, an ID or a digest",
    load: async () => (await import("./commands/images.ts")).images,
  },
  {
    name: "pulls",
    args: "",
    summary: "list the pulls that are under way, of all processes",
    load: async () => (await import("./commands/pulls.ts")).pulls,
  },
  {
    name: "inspect",
    args: "<image>",
    summary: "tell all about an image, as JSON",
    load: async () => (await import("./commands/inspect.ts")).inspect,
  },
  {
    name: "tag",
    args: "<image> <name>",
    summary: "give an image one more name",
    load: async () => (await import("./commands/names.ts")).tag,
  },
  {
    name: "untag",
    args: "<name>",
    summary: "take a name away, and the image with its last one",
    load: async () => (await import("./commands/names.ts")).untag,
  },
  {
    name: "rmi",
    args: "<image>",
    summary: "remove a name, and the image with its last one; by ID, the image with all its names",
    load: async () => (await import("./commands/names.ts")).rmi,
  },
  {
    name: "push",
    args: "<image> [destination]",
    summary: "push an image of the store; prints its digest",
    flags: [...COPY_FLAGS, ["--creds-stdin", "read user:password from standard input"]],
    load: async () => (await import("./commands/copy.ts")).push,
  },
  {
    name: "copy",
    args: "<source> <destination>",
    summary: "copy an image between registries, layouts, archives, daemons, podman and the store",
    flags: [
      ...COPY_FLAGS,
      NAMESPACE_FLAG,
      ["--with-referrers", "signatures, bills of materials and what else refers to it, too"],
      ...SIDE_FLAGS,
    ],
    load: async () => (await import("./commands/copy.ts")).copy,
  },
  {
    name: "sync",
    args: "<source> <destination>",
    summary: "bring the tags of a repository to another; those that are there are left alone",
    flags: [
      ["--include <regexp>", "only tags that match as a whole; again for more", "repeatable"],
      ["--exclude <regexp>", "not those that match as a whole; again for more", "repeatable"],
      ["--dry-run", "write nothing; tell what would be"],
      ["--platform <platform>", "only this one of an index; again for more", "repeatable"],
      ["--with-referrers", "signatures, bills of materials and what else refers to them, too"],
      ["--force-recursive", "ask for every blob, also of what is there"],
      ["--concurrency <number>", "tags at once; 4 unless told"],
      ["--tls-verify <boolean>", "false: trust any server, and plain HTTP"],
      ...SIDE_FLAGS,
    ],
    load: async () => (await import("./commands/sync.ts")).sync,
  },
  {
    name: "tags",
    args: "<repository>",
    summary: "list the tags of a repository",
    flags: SOURCE_FLAGS,
    load: async () => (await import("./commands/tags.ts")).tags,
  },
  {
    name: "serve",
    args: "",
    summary: "serve the store as a registry, until interrupted; prints its address",
    flags: [
      ["--host <host>", "where to listen; 127.0.0.1 unless told"],
      ["--port <port>", "5000 unless told; 0 for any that is free"],
      ["--writable", "let images be pushed and names be removed"],
      ["--creds-stdin", "let in only who knows the user:password on standard input"],
    ],
    endsBySignal: true,
    load: async () => (await import("./commands/serve.ts")).serve,
  },
  {
    name: "pod create",
    args: "<name>",
    summary: "make a pod; prints its ID",
    flags: [
      ["--image <ref>", "the image of the infra container, pulled if it is missing"],
      ...SOURCE_FLAGS,
      ["--namespace <name>", "remembered with the pod, and whose policy its containers need"],
      ["--uid <uid>", "remembered with the pod"],
    ],
    load: async () => (await import("./commands/pod.ts")).podCreate,
  },
  {
    name: "pod ls",
    args: "",
    summary: "list pods",
    load: async () => (await import("./commands/pod.ts")).podList,
  },
  {
    name: "pod inspect",
    args: "<pod>",
    summary: "tell about a pod, as JSON",
    load: async () => (await import("./commands/pod.ts")).podInspect,
  },
  {
    name: "pod rm",
    args: "<pod>",
    summary: "remove a pod with its containers",
    load: async () => (await import("./commands/pod.ts")).podRemove,
  },
  {
    name: "create",
    args: "<image> [cmd...]",
    summary: "make a container in a pod; prints its ID",
    flags: [
      ["--pod <pod>", "the pod that it belongs to"],
      ["--name <name>", "its name"],
      ...RUN_FLAGS,
    ],
    load: async () => (await import("./commands/create.ts")).create,
  },
  {
    name: "start",
    args: "<container>",
    summary: "mount a container; prints the bundle directory for an OCI runtime",
    load: async () => (await import("./commands/container.ts")).start,
  },
  {
    name: "stop",
    args: "<container>",
    summary: "unmount a container",
    load: async () => (await import("./commands/container.ts")).stop,
  },
  {
    name: "rm",
    args: "<container>",
    summary: "remove a container",
    load: async () => (await import("./commands/container.ts")).remove,
  },
  {
    name: "ps",
    args: "",
    summary: "list containers",
    load: async () => (await import("./commands/container.ts")).list,
  },
  {
    name: "status",
    args: "<container>",
    summary: "tell about a container, as JSON",
    load: async () => (await import("./commands/container.ts")).status,
  },
  {
    name: "run",
    args: "<image> [cmd...]",
    summary: "run a process in a container of its own",
    flags: [["--runtime <name>", "crun, runc, … or a path"], NAMESPACE_FLAG, ...RUN_FLAGS],
    load: async () => (await import("./commands/run.ts")).run,
  },
  {
    name: "mount",
    args: "<image>",
    summary: "mount an image to be read; prints the mount point",
    load: async () => (await import("./commands/mount.ts")).mount,
  },
  {
    name: "umount",
    args: "<image>",
    summary: "unmount an image",
    load: async () => (await import("./commands/mount.ts")).umount,
  },
  {
    name: "export podman",
    args: "<dir> [image...]",
    summary: "let podman use images, all unless told, without a copy; prints the directory",
    flags: [["--remove", "export nothing there any more"]],
    load: async () => (await import("./commands/export-podman.ts")).exportPodman,
  },
  {
    name: "policy init",
    args: "",
    summary: "write a first signature policy",
    flags: [
      ["--trust <scope...>", "accept what comes from here: a registry or a repository"],
      ["--trust-all", "accept everything"],
      ["--force", "replace a policy that is there"],
    ],
    load: async () => (await import("./commands/policy.ts")).policyInit,
  },
  {
    name: "policy explain",
    args: "<image>",
    summary:
      "tell what the signature policy says about an image, also dir:PATH and oci:PATH, and why",
    flags: [
      ["--local", "ask about the image in the store, by name or ID"],
      PLATFORM_FLAG,
      NAMESPACE_FLAG,
      ...SOURCE_FLAGS,
    ],
    load: async () => (await import("./commands/policy.ts")).policyExplain,
  },
  {
    name: "policy check",
    args: "[file]",
    summary: "find mistakes in a signature policy",
    load: async () => (await import("./commands/policy.ts")).policyCheck,
  },
  {
    name: "fsck",
    args: "",
    summary: "look for damage in the store",
    flags: [
      ["--deep", "read every byte, and compare each layer with its blob"],
      ["--repair", "repair what is damaged; fetch only the blobs that are"],
      ...SOURCE_FLAGS,
    ],
    load: async () => (await import("./commands/fsck.ts")).fsck,
  },
  {
    name: "gc",
    args: "",
    summary: "remove what no image, container or mount needs",
    flags: [
      ["--dry-run", "remove nothing; tell why each thing stays or goes"],
      ["--max-ingest-age <duration>", "how long beginnings of downloads stay (1d)"],
    ],
    load: async () => (await import("./commands/gc.ts")).gc,
  },
  {
    name: "prune",
    args: "",
    summary: "remove images by rule, nameless ones without any; then as gc",
    flags: [
      ["--unused-for <duration>", "images that were not used for so long"],
      ["--older-than <duration>", "images that were stored so long ago"],
      ["--keep-tags <number>", "all but so many of the newest tags of each repository"],
      ["--keep-bytes <size>", "the least recently used, until the rest takes so much"],
      ["--dry-run", "remove nothing; tell why each thing stays or goes"],
    ],
    load: async () => (await import("./commands/prune.ts")).prune,
  },
  {
    name: "df",
    args: "",
    summary: "tell what takes room on the disk, and what could be freed",
    load: async () => (await import("./commands/df.ts")).df,
  },
  {
    name: "info",
    args: "",
    summary: "tell about the store and this host",
    load: async () => (await import("./commands/info.ts")).info,
  },
  {
    name: "completion",
    args: "<shell>",
    summary: "print a completion script for bash, fish or zsh",
    load: async () => (await import("./commands/completion.ts")).completion,
  },
  {
    name: "version",
    args: "",
    summary: "print the version",
    load: async () => (await import("./commands/version.ts")).version,
  },
];
