import type { FileHandle } from "node:fs/promises";

/** A power cut costs so much of a download, at most twice. */
const SYNC_BYTES = 64 * 1024 * 1024;

// Each waits on a thread of the few that all file operations share.
let isSyncing = false;

/** Brings a growing file to the disk from time to time, without holding its writer up. */
export class PartialSync {
  readonly #file: FileHandle;
  readonly #onSynced: (bytes: number) => Promise<void>;
  #begun = 0;
  #running: Promise<void> | undefined;
  #failure: { readonly error: unknown } | undefined;
  #isClosed = false;

  /** @param onSynced - Is told how many bytes are on the disk for good. */
  constructor(file: FileHandle, onSynced: (bytes: number) => Promise<void>) {
    this.#file = file;
    this.#onSynced = onSynced;
  }

  /**
   * Begins if it is time to, and nothing else is being synced.
   *
   * @throws what an earlier one failed with: the disk does not tell twice.
   */
  begin(written: number): void {
    this.#throwFailure();
    if (isSyncing || written - this.#begun < SYNC_BYTES) return;
    this.#begun = written;
    isSyncing = true;
    this.#running = this.#run(written).finally(() => {
      isSyncing = false;
      this.#running = undefined;
    });
  }

  /** Waits for what is under way; more may follow. @throws as {@link PartialSync.begin} does. */
  async stop(): Promise<void> {
    await this.#running;
    this.#begun = 0;
    this.#throwFailure();
  }

  /** Closes the file, at once or when what is under way is done: nobody is kept waiting for it. */
  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#running === undefined) await this.#file.close();
    else void this.#running.then(() => this.#file.close()).catch(() => undefined);
  }

  async #run(written: number): Promise<void> {
    try {
      await this.#file.datasync();
      if (!this.#isClosed) await this.#onSynced(written);
    } catch (error) {
      this.#failure = { error };
    }
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
