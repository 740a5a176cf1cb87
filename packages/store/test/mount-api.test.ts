import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { mountOverlay, unmount } from "../src/linux/mount-api.ts";
import { mountIdAt, mountsAt, readMountTable } from "../src/linux/mount-table.ts";
import { IS_ROOT, NEEDS_ROOT } from "./support/needs-root.ts";

describe.skipIf(!IS_ROOT)(`mountOverlay${NEEDS_ROOT}`, () => {
  test("takes 500 directories, and says in the kernel's words why not 501", async () => {
    using place = temporaryDirectory();
    const mountPoint = place.make("merged");
    const lower = Array.from({ length: 501 }, (_, index) => place.make(`lower-${index}`));
    await mountOverlay({ lower: lower.slice(1), mountPoint });
    expect(mountsAt(mountPoint)).toMatchObject([{ type: "overlay" }]);
    await unmount(mountPoint);
    expect(mountsAt(mountPoint)).toEqual([]);
    const refused = mountOverlay({ lower, mountPoint });
    await expect(refused).rejects.toThrow(/^EINVAL: fsconfig .*too many lower directories/);
  });

  test("leaves no descriptor open, whether it works or not", async () => {
    using place = temporaryDirectory();
    const mountPoint = place.make("merged");
    const lower = [place.make("a"), place.make("b")];
    const before = openDescriptors();
    await mountOverlay({ lower, mountPoint });
    await unmount(mountPoint);
    const missing = mountOverlay({ lower: [join(place.path, "none")], mountPoint });
    await expect(missing).rejects.toMatchObject({ code: "ENOENT" });
    expect(openDescriptors()).toBe(before);
  });
});

describe.skipIf(!IS_ROOT)(`unmount${NEEDS_ROOT}`, () => {
  test("is done where nothing is mounted, or nothing is", async () => {
    using place = temporaryDirectory();
    await unmount(place.path);
    await unmount(join(place.path, "missing"));
  });
});

describe.skipIf(!IS_ROOT)(`readMountTable${NEEDS_ROOT}`, () => {
  test("has the paths as they are, whatever is in them", async () => {
    using place = temporaryDirectory();
    const mountPoint = place.make("a b\tc\nd\\e é");
    await mountOverlay({ lower: [place.make("x"), place.make("y")], mountPoint });
    const paths = readMountTable().map((entry) => entry.mountPoint);
    await unmount(mountPoint);
    expect(paths).toContain(mountPoint);
  });
});

describe.skipIf(!IS_ROOT)(`mountIdAt${NEEDS_ROOT}`, () => {
  test("is the number that the table has for the topmost mount, and nothing where there is none", async () => {
    using place = temporaryDirectory();
    const mountPoint = place.make("merged");
    const lower = [place.make("x"), place.make("y")];
    expect(mountIdAt(mountPoint)).toBeUndefined();
    await mountOverlay({ lower, mountPoint });
    await mountOverlay({ lower, mountPoint });
    const [below, top] = mountsAt(mountPoint);
    expect(mountIdAt(mountPoint)).toBe(top?.id);
    await unmount(mountPoint);
    expect(mountIdAt(mountPoint)).toBe(below?.id);
    await unmount(mountPoint);
    expect(mountIdAt(mountPoint)).toBeUndefined();
    expect(mountIdAt(join(place.path, "missing"))).toBeUndefined();
    expect(mountIdAt(join(place.path, "missing", "merged"))).toBeUndefined();
  });

  test("is nothing for a directory or a file on what is mounted", async () => {
    using place = temporaryDirectory();
    const mountPoint = place.make("merged");
    mkdirSync(join(place.make("x"), "below"));
    await mountOverlay({ lower: [join(place.path, "x"), place.make("y")], mountPoint });
    const inside = mountIdAt(join(mountPoint, "below"));
    await unmount(mountPoint);
    expect(inside).toBeUndefined();
  });
});

function openDescriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

function temporaryDirectory(): Disposable & { path: string; make(name: string): string } {
  const path = mkdtempSync(join(tmpdir(), "stowage-mount-"));
  return {
    path,
    make(name) {
      mkdirSync(join(path, name));
      return join(path, name);
    },
    [Symbol.dispose]: () => rmSync(path, { recursive: true }),
  };
}
