import type { Socket } from "node:net";

import { type buildConnector, Client } from "undici";

import { connectorOf, connectWith } from "./connector.ts";
import { Slots } from "./slots.ts";

interface Held {
  readonly socket: Socket;
  readonly client: Client;
}

/** Milliseconds between looks for sockets that lie idle, while somebody waits for one. */
const LOOK_EVERY = 20;

/** At most so many sockets of a transport at once, whoever they lead to. */
export class SocketLimit {
  readonly #slots: Slots;
  readonly #signal: AbortSignal;
  readonly #held = new Set<Held>();
  #waiting = 0;
  #looking: NodeJS.Timeout | undefined;

  /** @param signal - ends all waiting. */
  constructor(most: number, signal: AbortSignal) {
    this.#slots = new Slots(most);
    this.#signal = signal;
  }

  /** A client of one origin whose socket is one of these; the time to connect begins with it. */
  clientOf(origin: URL, options: Client.Options, connect: buildConnector.connector): Client {
    const client: Client = new Client(origin, {
      ...options,
      connect: connectorOf(async (wanted) => {
        const slot = this.#slots.tryAcquire() ?? (await this.#wait());
        try {
          const socket = await connectWith(connect, wanted);
          this.#hold({ socket, client }, slot);
          return socket;
        } catch (error) {
          slot[Symbol.dispose]();
          throw error;
        }
      }),
    });
    return client;
  }

  #hold(held: Held, slot: Disposable): void {
    const release = (): void => {
      this.#held.delete(held);
      slot[Symbol.dispose]();
    };
    if (held.socket.destroyed) return release();
    this.#held.add(held);
    held.socket.once("close", release);
  }

  async #wait(): Promise<Disposable> {
    this.#waiting += 1;
    this.#looking ??= setInterval(() => this.#closeIdle(), LOOK_EVERY);
    try {
      this.#closeIdle();
      return await this.#slots.acquire(this.#signal);
    } finally {
      this.#waiting -= 1;
      if (this.#waiting === 0) {
        clearInterval(this.#looking);
        this.#looking = undefined;
      }
    }
  }

  /** What is kept for a next request makes room for those who have one. */
  #closeIdle(): void {
    const idle = [...this.#held].filter(({ socket, client }) => {
      return client.stats.size === 0 && !socket.destroyed;
    });
    for (const { socket } of idle.slice(0, this.#waiting)) socket.destroy();
  }
}
