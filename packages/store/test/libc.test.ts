import koffi from "koffi";
import { describe, expect, test } from "vitest";

import { errnoOf, lastErrno, libcFunction, systemError } from "../src/linux/libc.ts";

const close = libcFunction<[number]>("close", ["int"]);
const rmdir = libcFunction<[Uint8Array]>("rmdir", ["pointer"]);

/** What a lock of V8 does that was waited for, at any time that this thread is not in a call. */
const overwriteErrno = (): unknown => koffi.errno(errnoOf("EAGAIN"));

describe("the error number of a failed call", () => {
  test("is that of the call, whatever the thread did since", () => {
    expect(close(-1)).toBe(-1);
    overwriteErrno();
    expect(lastErrno()).toBe(errnoOf("EBADF"));
    expect(systemError("close")).toMatchObject({ code: "EBADF", errno: -errnoOf("EBADF") });
  });

  test("is that of the last call that failed", () => {
    close(-1);
    expect(rmdir(Buffer.from("/nowhere/at/all\0"))).toBe(-1);
    overwriteErrno();
    expect(lastErrno()).toBe(errnoOf("ENOENT"));
  });

  test("is that of the call on a thread of the pool, too", async () => {
    const refused = close.inBackground("it", -1);
    overwriteErrno();
    await expect(refused).rejects.toMatchObject({ code: "EBADF", path: "it", syscall: "close" });
  });
});
