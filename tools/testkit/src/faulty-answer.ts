import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

/** What is to be sent. */
type Setting =
  | { readonly status: number }
  /** `content-length` is that of the body unless it is said here; `null` leaves it out. */
  | { readonly headers: Readonly<Record<string, string | readonly string[] | null>> }
  | { readonly body: string | Uint8Array }
  /** A redirect: 307 unless a status was said. */
  | { readonly redirect: string }
  /** Inverts one bit of the body, counted from its first. */
  | { readonly flipBit: number };

/** How it is sent. */
type Act =
  /** Waits so many milliseconds. */
  | { readonly sleep: number }
  /** Waits for what the test does. */
  | { readonly wait: PromiseLike<unknown> }
  /** Sends the headers, and so many further bytes of the body. */
  | { readonly sendBytes: number }
  /** Sends the rest of the body a piece at a time. */
  | { readonly trickle: { readonly bytes: number; readonly every: number } }
  /** Sends the rest of the body at so many bytes a second, steadily. */
  | { readonly throttle: number }
  /** Sends zeros for as long as somebody takes them. */
  | { readonly endless: true }
  /** Sends no more, and keeps the connection. */
  | { readonly stall: true }
  /** Ends the connection as a crash does. */
  | { readonly reset: true }
  /** Ends the connection as a server does that goes away. */
  | { readonly fin: true };

/**
 * A step of an answer. The headers go with the first step that sends, and what is left of the body
 * after the last one.
 */
export type Step = Setting | Act;

type Pouring =
  | { readonly sendBytes: number }
  | { readonly trickle: object }
  | { readonly throttle: number }
  | { readonly endless: true };

interface Answer {
  status: number | undefined;
  headers: Record<string, string | string[] | undefined>;
  body: Buffer;
  sent: number;
}

const TICKS_A_SECOND = 20;

/** Answers step by step. */
export async function play(
  response: ServerResponse,
  steps: readonly Step[],
  isHead: boolean,
): Promise<void> {
  const answer: Answer = { status: undefined, headers: {}, body: Buffer.alloc(0), sent: 0 };
  for (const step of steps) {
    if (response.destroyed) return;
    if (isSetting(step)) prepare(step, answer);
    else if ((await act(step, response, answer, isHead)) === "ended") return;
  }
  if (response.destroyed) return;
  begin(response, answer);
  response.end(isHead ? undefined : answer.body.subarray(answer.sent));
}

function isSetting(step: Step): step is Setting {
  return ["status", "headers", "body", "redirect", "flipBit"].some((name) => name in step);
}

function prepare(step: Setting, answer: Answer): void {
  if ("status" in step) {
    answer.status = step.status;
  } else if ("headers" in step) {
    for (const [name, value] of Object.entries(step.headers)) {
      answer.headers[name.toLowerCase()] =
        value === null ? undefined : typeof value === "string" ? value : [...value];
    }
  } else if ("body" in step) {
    answer.body = Buffer.from(step.body);
  } else if ("redirect" in step) {
    answer.status ??= 307;
    answer.headers["location"] = step.redirect;
  } else {
    answer.body = flipBit(answer.body, step.flipBit);
  }
}

async function act(
  step: Act,
  response: ServerResponse,
  answer: Answer,
  isHead: boolean,
): Promise<"ended" | undefined> {
  if ("sleep" in step) {
    await unlessClosed(response, sleep(step.sleep));
  } else if ("wait" in step) {
    await unlessClosed(response, step.wait);
  } else if ("reset" in step) {
    // All that was sent must have left, or it would be lost with the connection.
    await flushed(response);
    response.socket?.resetAndDestroy();
    return "ended";
  } else if ("fin" in step) {
    await flushed(response);
    response.destroy();
    return "ended";
  } else if ("stall" in step) {
    begin(response, answer);
    response.flushHeaders();
    return "ended";
  } else {
    begin(response, answer);
    response.flushHeaders();
    if (!isHead) await pour(step, response, answer);
  }
  return undefined;
}

async function pour(
  step: Extract<Act, Pouring>,
  response: ServerResponse,
  answer: Answer,
): Promise<void> {
  if ("sendBytes" in step) {
    await sendNext(response, answer, step.sendBytes);
    return;
  }
  if ("endless" in step) {
    while (!response.destroyed) await write(response, Buffer.alloc(65_536));
    return;
  }
  const [bytes, every] =
    "throttle" in step
      ? [Math.ceil(step.throttle / TICKS_A_SECOND), 1000 / TICKS_A_SECOND]
      : [step.trickle.bytes, step.trickle.every];
  while (answer.sent < answer.body.length && !response.destroyed) {
    await unlessClosed(response, sleep(every));
    await sendNext(response, answer, bytes);
  }
}

function begin(response: ServerResponse, { status, headers, body }: Answer): void {
  if (response.headersSent) return;
  const said = Object.entries({ "content-length": String(body.length), ...headers });
  response.writeHead(
    status ?? 200,
    said.flatMap(([name, value]) =>
      value === undefined
        ? []
        : (typeof value === "string" ? [value] : value).flatMap((one) => [name, one]),
    ),
  );
}

async function sendNext(response: ServerResponse, answer: Answer, count: number): Promise<void> {
  const piece = answer.body.subarray(answer.sent, answer.sent + count);
  answer.sent += piece.length;
  await write(response, piece);
}

async function write(response: ServerResponse, bytes: Uint8Array): Promise<void> {
  if (bytes.byteLength === 0 || response.destroyed) return;
  const written = new Promise((resolve) => response.write(bytes, resolve));
  await unlessClosed(response, written);
}

async function flushed(response: ServerResponse): Promise<void> {
  const { socket } = response;
  if (socket === null || socket.destroyed || socket.writableLength === 0) return;
  await unlessClosed(response, once(socket, "drain"));
}

async function unlessClosed(response: ServerResponse, wait: PromiseLike<unknown>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  response.once("close", resolve);
  await Promise.race([wait, promise]);
  response.off("close", resolve);
}

function flipBit(body: Buffer, bit: number): Buffer {
  const at = Math.floor(bit / 8);
  const byte = body[at];
  if (byte === undefined) throw new RangeError(`no bit ${bit} in ${body.length} bytes`);
  return Buffer.from(body.with(at, byte ^ (1 << (bit % 8))));
}
