import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import {
  checkPolicy,
  createPolicyEvaluator,
  formatVerdict,
  loadPolicy,
  loadRegistriesD,
} from "@stowage/policy";
import { parseReference } from "@stowage/reference";
import { tempDir } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { openPlaces } from "./support/signature-places.ts";

const REJECT = [{ type: "reject" }];
const SIGNED = [{ type: "signedBy", keyType: "GPGKeys", keyPaths: [] }];
const SECRET = "geheim";
const IMAGE = "q.io/team/app:1";

/** How people write a user and a password before a name. */
const SCOPES = [
  `user:${SECRET}@q.io/team`,
  `https://user:${SECRET}@q.io/team`,
  `user:${SECRET}@q.io`,
  `user:a/${SECRET}@q.io/team`,
  `user:a@${SECRET}@q.io/team`,
  `user:${SECRET.repeat(40)}@q.io/team`,
];

describe("a user and a password in a policy are never shown:", () => {
  test.for(SCOPES)("%s as a scope, which is told of by its line", async (scope) => {
    const [problem, told] = await saidOf({ docker: { "r.io": REJECT, [scope]: SIGNED } });
    const meant = scope.endsWith("/team") ? "q.io/team" : "q.io";
    expect(problem).toMatchObject({
      severity: "error",
      line: 14,
      problem: expect.stringMatching(/^has a user or a password/),
      remedy: expect.stringContaining(`Write "${meant}"`),
    });
    expect(told).toContain(`in line 14, which is not this image's, since a scope has no user`);
    expect(told).toContain(`write "${meant}"`);
    expect(told).not.toContain(SECRET);
  });

  test("nor is what is behind a question mark, in a scope", async () => {
    const [problem, told] = await saidOf({ docker: { [`q.io/team?token=${SECRET}`]: SIGNED } });
    expect(problem).toMatchObject({
      path: 'transports.docker["q.io/team?[redacted]"]',
      problem: "can match no image",
      line: 9,
      remedy: expect.stringContaining("Write q.io/team:"),
    });
    expect(told).toContain('write "q.io/team"');
    expect(told).not.toContain(SECRET);
  });

  test("nor in a key's address", async () => {
    const requirement = { ...SIGNED[0], keyPaths: [`https://q.io/key.asc?token=${SECRET}`] };
    const [problem, told] = await saidOf({ docker: { "q.io": [requirement] } });
    expect(problem?.problem).toContain("https://q.io/key.asc?[redacted] is not there");
    expect(told).not.toContain(SECRET);
  });

  test.for([
    [`user:${SECRET}@q.io/team`, "q.io/team"],
    ["docker-daemon", `user:${SECRET}@q.io/team`],
    ["containers-storage", `[overlay@/v]user:${SECRET}@q.io/team`],
    ["docker", `[overlay@/v]user:${SECRET}@q.io/team`],
    ["docker ", `user:${SECRET}@q.io/team`],
  ] as const)("below the transport %s, the scope %s", async ([transport, scope]) => {
    const unmet = [{ type: "signedBy", keyType: "X509Certificates", keyPaths: [] }];
    const [problem, told] = await saidOf({ [transport]: { [scope]: unmet } });
    expect(problem?.severity).toBe("error");
    expect(told).not.toContain(SECRET);
    expect(told).not.toContain("user:");
  });

  test.for([
    ["twice", `"docker": {"SCOPE": [], \n"SCOPE": []}`, '"[redacted]@q.io/team" stands twice'],
    ["with no requirements", `"docker": {"SCOPE": []}`, "is a list of no requirements"],
    ["in place of a transport", `"SCOPE": []`, "is not an object of scopes"],
    ["of a store", `"containers-storage": {"SCOPE": []}`, "is no scope of containers-storage"],
    ["of a folder", `"dir": {"SCOPE": []}`, "is no scope of dir"],
    ["with another field", `"docker": {"SCOPE": [{"type": "reject", "SCOPE": 1}]}`, "is a key"],
  ] as const)("a scope %s", async ([, transports, words]) => {
    await using folder = await tempDir();
    const path = join(folder.path, "policy.json");
    const text = `{"default": ${JSON.stringify(REJECT)}, "transports": {${transports}}}`;
    await writeFile(path, text.replaceAll("SCOPE", `user:${SECRET}@q.io/team`));
    const error = await loadPolicy({ path }).catch((cause: unknown) => cause);
    expect(error).toMatchObject({
      code: "ERR_POLICY_INVALID_CONFIG",
      message: expect.stringContaining(words),
    });
    expect(everythingOf(error)).not.toContain(SECRET);
  });

  test.for([
    ["that is not there", "key.asc", "key.asc is not there"],
    ["that is too long", "k".repeat(5000), "cannot be read"],
  ] as const)("a key's address %s", async ([, name, words]) => {
    const requirement = { ...SIGNED[0], keyPaths: [`https://user:${SECRET}@q.io/${name}`] };
    const [problem, told] = await saidOf({ docker: { "q.io": [requirement] } });
    expect(problem?.problem).toContain("https://[redacted]@q.io/k");
    expect(problem?.problem).toContain(words);
    expect(told).not.toContain(SECRET);
  });
});

describe("a user and a password in registries.d are never shown:", () => {
  test.for([
    [`docker: {"user:${SECRET}@q.io/team": {}}`, 'docker["[redacted]@q.io/team"] in line 1'],
    [`docker: {"user:${SECRET}@q.io/team": {foo: 1}}`, 'docker["[redacted]@q.io/team"].foo'],
    [`user:${SECRET}@q.io/team: {}`, "[redacted]@q.io/team"],
    [`docker: {q.io: {lookaside: "https://user:${SECRET}@q.io/s"}}`, "https://…@q.io/s"],
    [`docker: {q.io: {lookaside: "https://user:a/${SECRET}@q.io/s"}}`, "https://…@q.io/s"],
    [`docker: {q.io: {sigstore: "https://user:a#${SECRET}@q.io/s"}}`, "https://…@q.io/s"],
    [`docker: {q.io: {lookaside: "user:${SECRET}@q.io/s"}}`, "…@q.io/s"],
  ] as const)("%s is found by a check, and does not help a pull", async ([yaml, words]) => {
    await using folder = await tempDir();
    await writeFile(join(folder.path, "a.yaml"), yaml);
    const registriesD = await loadRegistriesD({ directory: folder.path });
    const { policy } = await loadText({ docker: { "q.io": SIGNED } }, folder.path);
    const found = await checkPolicy(policy, { registriesD });
    expect(found.map(({ problem }) => problem).join("\n")).toContain(words);
    await using places = await openPlaces();
    const told = await places.find({ registriesD }).catch((error: unknown) => error);
    expect(everythingOf(found) + everythingOf(told)).not.toContain(SECRET);
  });

  test.for([
    [`docker: {"SCOPE": {}, "SCOPE": {}}`, "[redacted]@q.io/team: is in line 1"],
    [`docker: {"SCOPE": [1]}`, 'docker["[redacted]@q.io/team"] is no mapping'],
    [`docker: {"SCOPE": {lookaside: [1]}}`, "is not a string"],
    [`docker: {q.io: *SCOPE }`, "[redacted]@q.io/team"],
  ] as const)("%s, which cannot be read", async ([yaml, words]) => {
    await using folder = await tempDir();
    const text = yaml.replaceAll("SCOPE", `user:${SECRET}@q.io/team`);
    await writeFile(join(folder.path, "a.yaml"), text);
    const error = await loadRegistriesD({ directory: folder.path }).catch(
      (cause: unknown) => cause,
    );
    expect(error).toMatchObject({
      code: "ERR_POLICY_INVALID_REGISTRIES_D",
      message: expect.stringContaining(words),
    });
    expect(everythingOf(error)).not.toContain(SECRET);
  });

  test("a scope that another file has as well", async () => {
    await using folder = await tempDir();
    for (const name of ["a.yaml", "b.yaml"]) {
      await writeFile(join(folder.path, name), `docker: {"user:${SECRET}@q.io/team": {}}`);
    }
    const error = await loadRegistriesD({ directory: folder.path }).catch(
      (cause: unknown) => cause,
    );
    expect(error).toMatchObject({ message: expect.stringContaining("[redacted]@q.io/team") });
    expect(everythingOf(error)).not.toContain(SECRET);
  });
});

/** The first problem, and all that anything says of an image under a policy. */
async function saidOf(transports: object) {
  await using folder = await tempDir();
  const { policy, file, warnings } = await loadText(transports, folder.path);
  const problems = await checkPolicy(policy);
  const { evaluate, requireAllowed } = createPolicyEvaluator({ policy, file });
  const subject = { transport: "docker", reference: parseReference(IMAGE) } as const;
  const verdict = await evaluate(subject);
  const refusal = await requireAllowed(subject).catch((error: unknown) => error);
  const told = [problems, verdict, refusal, warnings, [formatVerdict(verdict)]];
  return [problems[0], told.map(everythingOf).join("\n")] as const;
}

async function loadText(transports: object, folder: string) {
  const path = join(folder, "policy.json");
  await writeFile(path, JSON.stringify({ default: REJECT, transports }, undefined, 2));
  return await loadPolicy({ path });
}

/** All that it and its causes have, as text. */
function everythingOf(value: unknown): string {
  if (!(value instanceof Error)) return (JSON.stringify(value) ?? "").replaceAll('\\"', '"');
  const { message, stack, cause, ...rest } = value;
  return [message, stack, everythingOf(rest), cause === undefined ? "" : everythingOf(cause)].join(
    "\n",
  );
}
