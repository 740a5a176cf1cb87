import { mkdirSync } from "node:fs";
import { dirname } from "node:path";

import { parseReference } from "@stowage/reference";
import { type Credentials, loadCredentials, loadRegistriesConf, logIn } from "@stowage/registry";
import { describe, expect, test } from "vitest";

import { TempDir } from "../support/docker-registry.ts";
import { writeHelper } from "../support/helper-script.ts";
import { type Vector, vectorsOf } from "../support/registries-vectors.ts";

const SCRIPT = `read s
case "$s" in
quay.io) echo '{"ServerURL":"quay.io","Username":"hu","Secret":"hs"}' ;;
tok.io) echo '{"ServerURL":"tok.io","Username":"<token>","Secret":"idt"}' ;;
boom.io) echo boom; exit 1 ;;
*) echo "credentials not found in native keychain"; exit 1 ;;
esac`;

// Where the README says that we differ, or where the same fact has another form here.
const OTHERWISE: Readonly<Record<string, Vector["expect"]>> = {
  "AU-23": { error: "the file that was named is not there" },
  "AU-30": { identityToken: "tok" },
};

describe("credentials", () => {
  test.for(vectorsOf("credentials").map((vector) => [vector.id, vector] as const))(
    "%s",
    async ([id, { input, expect: given }]) => {
      using directory = new TempDir();
      const expected = OTHERWISE[id] ?? given;
      if (input.key !== undefined) {
        const credentials = { username: "u", password: "p" };
        const made = logIn(input.key, credentials, { authfile: directory.file("auth.json") });
        await expect(made).rejects.toMatchObject({ code: "ERR_REGISTRY_INVALID_ARGUMENT" });
        return;
      }
      const found = await find(directory, input).catch((error: unknown) => error);
      if ("error" in expected) expect(found).toMatchObject({ kind: "ConfigFileInvalid" });
      else if ("anonymous" in expected) expect(found).toBeUndefined();
      else expect(found).toMatchObject(expected);
    },
  );
});

async function find(directory: TempDir, input: Vector["input"]): Promise<Credentials | undefined> {
  const { path, host } = parseReference(input.ref).repository;
  const env = {
    HOME: directory.file("home"),
    PATH: writeHelper(directory, "zz", SCRIPT),
    XDG_RUNTIME_DIR: directory.file("run"),
    XDG_CONFIG_HOME: directory.file("config"),
    DOCKER_CONFIG: directory.file("docker"),
  };
  let authfile: string | undefined;
  for (const [name, text] of Object.entries(input.files)) {
    if (name.startsWith("explicit authfile")) authfile = directory.file("explicit");
    if (name.endsWith("(missing)")) continue;
    const file = name.startsWith("$")
      ? name.replace(/^\$([A-Z_]+)/u, (_, key: string) => env[key as keyof typeof env])
      : directory.file("explicit");
    mkdirSync(dirname(file), { recursive: true });
    directory.write(file.slice(directory.path.length + 1), text);
  }
  mkdirSync(directory.file("none.d"));
  const conf = await loadRegistriesConf({
    path: directory.write("registries.conf", input["registries.conf"] ?? ""),
    dropInDir: directory.file("none.d"),
  });
  return loadCredentials({ authfile, env, helpers: conf.credentialHelpers })(host, path);
}
