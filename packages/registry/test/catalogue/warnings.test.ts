import { describe, expect, test } from "vitest";

import { openStage, SECRETS, type Stage } from "../support/stage.ts";

describe("a registry's warnings", () => {
  test("H35 are told of once, escaped and without secrets", async () => {
    await using stage = await openStage();
    const warning = [
      String.raw`299 - "a \"quoted\" word"`,
      `299 - "\u009b2J${SECRETS.token}"`,
      '299 - "twice"',
      '299 - "twice"',
      '199 - "of another kind"',
      "299 - unquoted",
      '299 evil "of an agent"',
    ];
    stage.fault(/manifests/u, [{ headers: { warning } }, { body: stage.image.manifest }]);
    await stage.fetchManifest();
    await stage.fetchManifest();
    expect(warnings(stage)).toEqual(['a "quoted" word', String.raw`\u{9b}2J[redacted]`, "twice"]);
  });

  test("H35 are told of in 4096 characters, however many there are", async () => {
    await using stage = await openStage();
    for (let nth = 0; nth < 10; nth += 1) {
      const warning = Array.from(
        { length: 10 },
        (_, at) => `299 - "${nth} ${at} ${"x".repeat(1000)}"`,
      );
      stage.fault(/manifests/u, [{ headers: { warning } }, { body: stage.image.manifest }], {
        nth: 1,
      });
    }
    for (let nth = 0; nth < 10; nth += 1) await stage.fetchManifest();
    expect(warnings(stage)).toHaveLength(4);
  });

  test("H35 of a MiB are refused with their answer", async () => {
    await using stage = await openStage();
    const { repository } = await stage.raw((socket) => {
      socket.write("HTTP/1.1 200 OK\r\n");
      socket.write(`Warning: 299 - "${"x".repeat(1000)}"\r\n`.repeat(1000));
      socket.end("Content-Length: 0\r\n\r\n");
    });
    await stage.refuses("RegistryProtocol", () => stage.readLayer(repository));
    expect(warnings(stage)).toEqual([]);
  });
});

function warnings({ events }: Stage): readonly string[] {
  return events.flatMap((event) => (event.type === "warning" ? [event.text] : []));
}
