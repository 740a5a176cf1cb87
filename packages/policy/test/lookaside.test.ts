import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";

import {
  createPolicyEvaluator,
  formatVerdict,
  loadRegistriesD,
  lookasideUrl,
  MAX_SIGNATURE_BYTES,
  parsePolicy,
} from "@stowage/policy";
import { parseRepository } from "@stowage/reference";
import { tempDir } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import {
  HEX,
  IMAGE,
  MANIFEST,
  openPlaces,
  serveSignatures,
  SIGNATURE,
} from "./support/signature-places.ts";

describe("a lookaside of files", () => {
  test("has signatures numbered from 1, up to the first that is missing", async () => {
    await using world = await openPlaces();
    await world.putFiles(1, 2, 4);
    const { signatures, places } = await world.find();
    expect(signatures).toEqual([
      { format: "simple-signing", bytes: SIGNATURE, origin: expect.stringMatching(/signature-1$/) },
      { format: "simple-signing", bytes: SIGNATURE, origin: expect.stringMatching(/signature-2$/) },
    ]);
    expect(places[0]).toEqual({
      kind: "lookaside",
      location: `${world.base}/a/b@sha256=${HEX}/signature-N`,
      statedBy: expect.stringContaining("/etc/r.yaml"),
      found: 2,
    });
  });

  test("is asked for by the name of the mirror, not of the image", async () => {
    await using world = await openPlaces();
    await world.putFiles(1);
    expect((await world.find({ from: "mirror.io/c/d" })).signatures).toEqual([]);
    await world.putFile(`c/d@sha256=${HEX}/signature-1`, SIGNATURE);
    expect((await world.find({ from: "mirror.io/c/d" })).signatures).toHaveLength(1);
  });

  test("S15 takes 128 signatures, and not one more", async () => {
    await using world = await openPlaces();
    await world.putFiles(...Array.from({ length: 128 }, (_, index) => index + 1));
    expect((await world.find()).signatures).toHaveLength(128);
    await world.putFiles(129);
    await expect(world.find()).rejects.toMatchObject({
      code: "ERR_POLICY_TOO_MANY_SIGNATURES",
      kind: "LimitExceeded",
    });
  });

  test("S04, V83 takes 4 MiB for one, 16 MiB for all, and not a byte more", async () => {
    await using world = await openPlaces();
    const large = Buffer.alloc(MAX_SIGNATURE_BYTES + 1, 0x90);
    const name = (n: number): string => `a/b@sha256=${HEX}/signature-${n}`;
    await world.putFile(name(1), large);
    const refused = { code: "ERR_POLICY_TOO_MANY_SIGNATURES" };
    await expect(world.find()).rejects.toMatchObject(refused);
    for (const n of [1, 2, 3, 4]) await world.putFile(name(n), large.subarray(1));
    expect((await world.find()).signatures).toHaveLength(4);
    await world.putFile(name(5), SIGNATURE);
    await expect(world.find()).rejects.toMatchObject(refused);
  });

  test.for([
    ["armor", "-----BEGIN PGP MESSAGE-----"],
    ["JSON", "{}"],
    ["nothing", ""],
    ["an unknown format", "\0other\ntext"],
    ["a format without an end", "\0simple-signing"],
    ["no name of a format", "\0\ntext"],
    ["sigstore without a payload", '\0sigstore-json\n{"mimeType":"a","annotations":{}}'],
    ["sigstore with more", '\0sigstore-json\n{"mimeType":"a","payload":"","annotations":{},"b":1}'],
    [
      "sigstore of another type",
      '\0sigstore-json\n{"mimeType":"a","payload":"*","annotations":{}}',
    ],
    ["sigstore that is no JSON", "\0sigstore-json\n{"],
  ] as const)("%s is no signature, and fails", async ([, text]) => {
    await using world = await openPlaces();
    await world.putFile(`a/b@sha256=${HEX}/signature-1`, Buffer.from(text));
    await expect(world.find()).rejects.toMatchObject({
      code: "ERR_POLICY_SIGNATURE_INVALID",
      kind: "SignatureInvalid",
    });
  });

  test("S17 what is there and cannot be read is an error, and not absent", async () => {
    await using world = await openPlaces();
    const folder = join(world.path, `a/b@sha256=${HEX}`);
    await mkdir(join(folder, "signature-1"), { recursive: true });
    await expect(world.find()).rejects.toMatchObject({
      code: "ERR_POLICY_SIGNATURES_UNAVAILABLE",
      kind: "RegistryUnavailable",
    });
    await symlink("signature-2", join(folder, "signature-2"));
    const loop = { base: `file://${folder}/signature-2` };
    await expect(world.find(loop)).rejects.toMatchObject({
      code: "ERR_POLICY_SIGNATURES_UNAVAILABLE",
    });
  });

  test.for(["ftp://a/b", "relative", "file://host/b", "https://user:secret@a/b", "data:,a"])(
    "S17 %s can be no lookaside",
    (base) => {
      expect(() => lookasideUrl(base, IMAGE.repository, MANIFEST, 1)).toThrow(
        expect.objectContaining({ code: "ERR_POLICY_INVALID_REGISTRIES_D" }),
      );
    },
  );

  test("that can be none is told with the file, the line and the key that say so, and no secret", async () => {
    await using folder = await tempDir();
    const file = join(folder.path, "a.yaml");
    await using registry = await openPlaces();
    for (const [base, shown] of [
      ["ftp://q.io/a", "ftp://q.io/a"],
      ["https://user:secret@q.io/a?secret", "https://…@q.io/a?…"],
    ] as const) {
      await writeFile(file, `docker:\n  q.io/a:\n    lookaside: ${base}\n`);
      const registriesD = await loadRegistriesD({ directory: folder.path });
      await expect(registry.find({ registriesD })).rejects.toMatchObject({
        code: "ERR_POLICY_INVALID_REGISTRIES_D",
        message: `${file}, line 3, docker["q.io/a"].lookaside: "${shown}" can be no lookaside`,
      });
    }
  });

  test("that cannot be read is told with the file, the line and the key that name it", async () => {
    await using folder = await tempDir();
    await using registry = await openPlaces();
    await mkdir(join(registry.path, `a/b@sha256=${HEX}/signature-1`), { recursive: true });
    const file = join(folder.path, "a.yaml");
    await writeFile(file, `# ours\ndefault-docker: {sigstore: "${registry.base}"}\n`);
    const registriesD = await loadRegistriesD({ directory: folder.path });
    await expect(registry.find({ registriesD })).rejects.toMatchObject({
      code: "ERR_POLICY_SIGNATURES_UNAVAILABLE",
      hint: expect.stringContaining(`${file}, line 2, default-docker.sigstore`),
    });
  });

  test("S17 no repository leads out of the lookaside", () => {
    const url = lookasideUrl("file:///srv/a/../b/?x#y", IMAGE.repository, MANIFEST, 3);
    expect(url.pathname).toBe(`/srv/b/a/b@sha256=${HEX}/signature-3`);
    for (const name of ["q.io/../a", "q.io/a/../../b", "q.io/a//b", "q.io/%2e%2e/a"]) {
      expect(() => parseRepository(name)).toThrow(
        expect.objectContaining({ kind: "ReferenceInvalid" }),
      );
    }
  });
});

describe("of a lookaside that has nothing, what is told", () => {
  const NEW = 'write docker: {"q.io:5000/a/b": {lookaside: "URL"}} into a new file DIR/NAME.yaml';

  test.for([
    [
      "the line that named it",
      { "a.yaml": "docker:\n  q.io:5000: {lookaside: 'BASE'}" },
      'DIR/a.yaml, line 2, docker["q.io:5000"].lookaside, says so for q.io:5000/a/b',
      ['correct DIR/a.yaml, line 2, docker["q.io:5000"].lookaside,', NEW],
    ],
    [
      "the line that named it for all",
      { "a.yaml": "default-docker:\n  sigstore: 'BASE'" },
      "DIR/a.yaml, line 2, default-docker.sigstore, says so for q.io:5000/a/b",
      [NEW],
    ],
    [
      "the section that is there already, since no second may be",
      { "a.yaml": "docker:\n  q.io:5000/a/b:\n    use-sigstore-attachments: false" },
      "the built-in default, since no file of DIR has a lookaside for q.io:5000/a/b",
      ['give docker["q.io:5000/a/b"] in DIR/a.yaml, line 2, the key lookaside: "URL"'],
    ],
    [
      "the section that lacks the port",
      { "a.yaml": "docker:\n\n  q.io: {lookaside: 'BASE'}" },
      "the built-in default, since no file of DIR has a lookaside for q.io:5000/a/b",
      ['DIR/a.yaml, line 3, has docker["q.io"],', 'write docker["q.io:5000"]'],
      "and no more",
    ],
    [
      "the key that is not quite one",
      { "a.yaml": "docker:\n  q.io:5000:\n    look-aside: 'BASE'" },
      "the built-in default, since no file of DIR has a lookaside for q.io:5000/a/b",
      ['DIR/a.yaml, line 3, has docker["q.io:5000"].look-aside, which means nothing'],
      "and no more",
    ],
    [
      "the scope that is not below docker:",
      { "a.yaml": "# ours\n'q.io:5000': {lookaside: 'BASE'}" },
      "the built-in default, since no file of DIR has a lookaside for q.io:5000/a/b",
      ["DIR/a.yaml, line 2, has q.io:5000, which means nothing there: below docker:"],
      "and no more",
    ],
    [
      "the file that nobody reads",
      { "a.conf": "docker: {q.io:5000: {lookaside: 'BASE'}}" },
      "the built-in default, since no file of DIR has a lookaside for q.io:5000/a/b",
      ["DIR/a.conf is not read: its name does not end in .yaml", NEW],
    ],
    [
      "the file whose name is nearly right",
      { "a.yml": "docker: {q.io:5000: {lookaside: 'BASE'}}" },
      "the built-in default, since no file of DIR has a lookaside for q.io:5000/a/b",
      ["DIR/a.yml is not read: its name does not end in .yaml; give it such a name"],
      "and no more",
    ],
  ] as const)("is %s", async ([, files, statedBy, remedies, isAll]) => {
    await using folder = await tempDir();
    await using world = await openPlaces();
    const { path: directory } = folder;
    for (const [name, text] of Object.entries(files))
      await writeFile(join(directory, name), text.replace("BASE", world.base));
    const registriesD = await loadRegistriesD({ directory });
    const { places } = await world.find({ registriesD, from: "q.io:5000/a/b", asked: "q.io:5000" });
    const base = statedBy.startsWith("the built-in") ? registriesD.defaultLookaside : world.base;
    expect(places[0]).toMatchObject({
      kind: "lookaside",
      location: `${base}/a/b@sha256=${HEX}/signature-1`,
      statedBy: statedBy.replaceAll("DIR", directory),
      found: 0,
    });
    const more = [
      `URL is what stands before /a/b@sha256=${HEX}/signature-1`,
      "each image of an index by itself",
    ];
    for (const words of remedies)
      expect(places[0]?.remedy).toContain(words.replaceAll("DIR", directory));
    for (const words of more) expect(places[0]?.remedy?.includes(words)).toBe(isAll === undefined);
  });

  test("names the line once: a refusal leaves to the remedy what that says", async () => {
    await using folder = await tempDir();
    await using world = await openPlaces();
    const none = join(folder.path, "none");
    const text = `docker:\n  q.io:\n    lookaside: file://${none}\n`;
    await writeFile(join(folder.path, "a.yaml"), text);
    const registriesD = await loadRegistriesD({ directory: folder.path });
    const found = await world.find({ registriesD });
    const evaluator = createPolicyEvaluator({
      policy: parsePolicy(
        '{"default": [{"type": "signedBy", "keyType": "GPGKeys", "keyPaths": []}]}',
      ),
      signatures: { findSignatures: async () => found },
    });
    const subject = { transport: "docker", reference: IMAGE, manifestDigest: MANIFEST } as const;
    const refusal = await evaluator.requireAllowed(subject).catch((error: unknown) => error);
    const { message = "", hint = "" } = refusal as { message?: string; hint?: string };
    expect(`${message} ${hint}`.split("a.yaml, line 3")).toHaveLength(2);
    expect(message).toContain(`/signature-1 (there is no ${none} at all))`);
    expect(
      formatVerdict(await evaluator.evaluate(subject)).split(`no ${none} at all`),
    ).toHaveLength(2);
  });

  test("is not more than three things that somebody may have meant, the nearest first", async () => {
    await using folder = await tempDir();
    await using world = await openPlaces();
    const keys = ["lookasid", "look-aside", "lookasides"].map((key) => `${key}: file:///a`);
    const text = `docker:\n  q.io/a: {${keys.join(", ")}}\n  q.io:5000: {lookaside: file:///b}`;
    await writeFile(join(folder.path, "a.yaml"), text);
    await writeFile(join(folder.path, "a.conf"), "");
    const registriesD = await loadRegistriesD({ directory: folder.path });
    const [place] = (await world.find({ registriesD })).places;
    const misses = place?.remedy ?? "";
    expect(misses).not.toContain("If its signatures");
    expect(misses.match(/line \d, has docker\[/g)).toHaveLength(3);
    expect(misses).toMatch(/^\S+a\.yaml, line 3, has docker\["q\.io:5000"\]/);
    expect(misses).not.toContain("a.conf");
  });

  test("is the same for a name with a tag and a digest", async () => {
    await using folder = await tempDir();
    await using world = await openPlaces();
    const registriesD = await loadRegistriesD({ directory: folder.path });
    const tagged = await world.find({ registriesD });
    expect(await world.find({ registriesD, isPinned: true })).toEqual(tagged);
  });

  test("is that the directory is not there, and that the name is a mirror's", async () => {
    await using folder = await tempDir();
    await using world = await openPlaces();
    const env = { HOME: folder.path };
    const systemDirectory = join(folder.path, "etc");
    const registriesD = await loadRegistriesD({ env, systemDirectory });
    const { places } = await world.find({ registriesD, from: "m.io/a/b" });
    expect(places[0]).toMatchObject({
      statedBy: `the built-in default, since ${systemDirectory} does not exist`,
      remedy: expect.stringContaining('docker: {"m.io/a/b": {lookaside: "URL"}}'),
    });
    const named = await world.find({ from: "m.io/a/b" });
    expect(named.places[0]?.statedBy).toContain("m.io/a/b, the mirror that the image comes from");
  });
});

describe("a lookaside behind HTTP", () => {
  test("has none where the server says 404", async () => {
    await using server = await serveSignatures((n) =>
      n <= 2 ? [200, SIGNATURE] : [404, "not here"],
    );
    await using world = await openPlaces();
    const { signatures, places } = await world.find({ base: server.base });
    expect(signatures).toHaveLength(2);
    const location = `${server.base}/a/b@sha256=${HEX}/signature-N`;
    expect(places[0]).toMatchObject({ kind: "lookaside", location, found: 2 });
    expect(server.paths[0]).toBe(`/sigs/a/b@sha256=${HEX}/signature-1`);
  });

  test.for([403, 401, 500, 503, 204, 302])(
    "S17 %s is an error, and not the absence of signatures",
    async (status) => {
      await using server = await serveSignatures((n) =>
        n === 1 ? [200, SIGNATURE] : [status, ""],
      );
      await using world = await openPlaces();
      await expect(world.find({ base: server.base })).rejects.toMatchObject({
        code: "ERR_POLICY_SIGNATURES_UNAVAILABLE",
      });
    },
  );

  test("S17 keeps the query of its URL out of what it says", async () => {
    await using server = await serveSignatures(() => [500, ""]);
    await using world = await openPlaces();
    const finding = world.find({ base: `${server.base}?token=secret` });
    await expect(finding).rejects.toThrow(expect.not.stringContaining("secret"));
    expect(server.paths[0]).toContain("?token=secret");
  });

  test("S15 a signature without end is cut off", async () => {
    await using server = await serveSignatures(() => [
      200,
      Buffer.alloc(MAX_SIGNATURE_BYTES + 1, 0x90),
    ]);
    await using world = await openPlaces();
    await expect(world.find({ base: server.base })).rejects.toMatchObject({
      code: "ERR_POLICY_TOO_MANY_SIGNATURES",
    });
  });

  test("rejects with the reason of its signal", async () => {
    const reason = new Error("shutting down");
    await using server = await serveSignatures(() => [200, SIGNATURE]);
    await using world = await openPlaces();
    const signal = AbortSignal.abort(reason);
    await expect(world.find({ base: server.base, signal })).rejects.toBe(reason);
  });
});
