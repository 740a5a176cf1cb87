import type { OciLinux, OciMount } from "./oci-config.ts";

const DEVICE_LESS = ["nosuid", "noexec", "nodev"];

/** What every container has mounted, in this order. All of it fresh: nothing of the host's. */
export const MOUNTS: readonly OciMount[] = [
  { destination: "/proc", type: "proc", source: "proc", options: DEVICE_LESS },
  {
    destination: "/dev",
    type: "tmpfs",
    source: "tmpfs",
    options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
  },
  {
    destination: "/dev/pts",
    type: "devpts",
    source: "devpts",
    options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
  },
  {
    destination: "/dev/shm",
    type: "tmpfs",
    source: "shm",
    options: [...DEVICE_LESS, "mode=1777", "size=65536k"],
  },
  { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: DEVICE_LESS },
  { destination: "/sys", type: "sysfs", source: "sysfs", options: [...DEVICE_LESS, "ro"] },
  {
    destination: "/sys/fs/cgroup",
    type: "cgroup",
    source: "cgroup",
    options: [...DEVICE_LESS, "relatime", "ro"],
  },
];

/**
 * The capabilities of a process that is root in its container: those that podman gives. None is
 * inheritable or ambient, so a process of another user has none once it executes its command.
 */
export const CAPABILITIES: readonly string[] = [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_FOWNER",
  "CAP_FSETID",
  "CAP_KILL",
  "CAP_NET_BIND_SERVICE",
  "CAP_SETFCAP",
  "CAP_SETGID",
  "CAP_SETPCAP",
  "CAP_SETUID",
  "CAP_SYS_CHROOT",
];

/** Namespaces, devices and the parts of `/proc` and `/sys` that tell or change too much. */
export const LINUX_DEFAULTS: OciLinux = {
  namespaces: ["pid", "network", "ipc", "uts", "mount", "cgroup"].map((type) => ({ type })),
  // The runtime itself then allows /dev/null and the like.
  resources: { devices: [{ allow: false, access: "rwm" }] },
  maskedPaths: [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/selinux",
  ],
  readonlyPaths: ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
};
