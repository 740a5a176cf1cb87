import { describe, expect, test } from "vitest";

import { openStage } from "../support/stage.ts";

const OK = "HTTP/1.1 200 OK\r\n";

describe("an answer that is no HTTP", () => {
  test.for([
    ["two lengths that differ", `${OK}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello`],
    ["two lengths alike", `${OK}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello`],
    [
      "a length and chunks",
      `${OK}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    ],
    [
      "chunks and a length",
      `${OK}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n`,
    ],
    ["200 kB of a header", `${OK}X: ${"x".repeat(200_000)}\r\n\r\n`],
    ["10 000 headers", `${OK}${"X: y\r\n".repeat(10_000)}\r\n`],
    ["NUL in a header", `${OK}X: a\0b\r\nContent-Length: 0\r\n\r\n`],
    ["NUL in a header's name", `${OK}X\0: a\r\nContent-Length: 0\r\n\r\n`],
    ["a bare CR", `${OK}X: a\rY: b\r\nContent-Length: 0\r\n\r\n`],
    ["bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"],
    ["a header that is folded", `${OK}X: a\r\n b\r\nContent-Length: 0\r\n\r\n`],
    ["a space before the colon", `${OK}Content-Length : 0\r\n\r\n`],
    ["chunks of no size", `${OK}Transfer-Encoding: chunked\r\n\r\nzz\r\n`],
    ["chunks beyond all sizes", `${OK}Transfer-Encoding: chunked\r\n\r\n${"f".repeat(20)}\r\n`],
    ["a status of letters", "HTTP/1.1 abc OK\r\n\r\n"],
    ["no HTTP at all", "220 smtp.example ESMTP\r\n"],
    ["TLS", "\x15\x03\x01\x00\x02\x02\x46"],
    ["HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
    ["100 Continue, a thousand times", "HTTP/1.1 100 Continue\r\n\r\n".repeat(1000)],
    [
      "101 to something else",
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ],
  ])("H30 V13 %s: RegistryProtocol, asked once", async ([, answer = ""]) => {
    await using stage = await openStage();
    const { repository, server } = await stage.raw((socket) => socket.end(answer, "latin1"));
    await stage.refuses("RegistryProtocol", () => stage.readLayer(repository));
    expect(server.requests).toHaveLength(1);
  });

  test("H30 V13 a coding whose last is not chunked lasts as long as its connection", async () => {
    await using stage = await openStage();
    const answer = `${OK}Transfer-Encoding: chunked, x\r\n\r\n0\r\n\r\n`;
    const { repository } = await stage.raw((socket) => socket.end(answer));
    await stage.refuses("SizeMismatch", () => stage.readLayer(repository));
  });

  test("H30 V13 early hints before an answer are passed over, but not for ever", async () => {
    await using stage = await openStage();
    const early = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
    const { repository } = await stage.raw((socket, { nth }) => {
      if (nth === 1) {
        const { bytes } = stage.layer;
        socket.write(`${early.repeat(20)}${OK}Content-Length: ${bytes.length}\r\n\r\n`);
        socket.write(bytes);
      } else {
        const timer = setInterval(() => socket.write(early), 20);
        socket.once("close", () => clearInterval(timer));
      }
    });
    await stage.readLayer(repository);
    await stage.refuses("RegistryProtocol", () => stage.readLayer(repository));
  });

  test("V13 what follows an answer is the answer to nothing", async () => {
    await using stage = await openStage();
    const smuggled = `${OK}Content-Length: 8\r\n\r\nsmuggled`;
    const { repository } = await stage.raw((socket, { nth }) => {
      if (nth > 1) return void socket.end(`${OK}Content-Length: 0\r\n\r\n`);
      const { bytes } = stage.layer;
      socket.write(`${OK}Content-Length: ${bytes.length}\r\n\r\n`);
      socket.write(bytes);
      return void socket.write(smuggled);
    });
    await stage.readLayer(repository);
    await stage.refuses("SizeMismatch", () => stage.readLayer(repository));
  });
});
