import { existsSync } from "node:fs";

import { hasPeer, makeGpgKeyring } from "@stowage/testkit";
import { expect, test } from "vitest";

test.runIf(hasPeer("gpg"))(
  "signs what gpg then verifies, and leaves nothing (if gpg is installed)",
  async () => {
    let path: string;
    {
      await using keyring = await makeGpgKeyring();
      path = keyring.path;
      const key = await keyring.makeKey("alice");
      const signed = await keyring.sign(key, "hello");
      expect((await keyring.run(["--decrypt"], signed)).toString()).toBe("hello");
      await keyring.revokeKey(key);
      await expect(keyring.sign(key, "hello")).rejects.toThrow(/ended with 2/);
    }
    expect(existsSync(path)).toBe(false);
  },
);
