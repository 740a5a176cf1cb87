/**
 * What the store keeps to itself and the bench has to measure: from its source, past its public
 * door.
 *
 * @module
 */

/** Of `linux/isal.ts`. */
export interface IsalModule {
  createInflater():
    | {
        inflate(input: Buffer, output: Buffer): { taken: number; filled: number; isEnd: boolean };
        reset(): void;
      }
    | undefined;
}

/** Of `linux/file-calls.ts`. */
export interface FileCallsModule {
  readonly OPEN: Readonly<Record<"create" | "exclusive" | "writeOnly", number>>;
  tryOpenAt(fd: number, name: Uint8Array, flags: number, mode?: number): number;
  closeDescriptor(fd: number): void;
}

/** Of `linux/libc.ts`. */
export interface LibcModule {
  cString(name: string): Buffer;
}

const LINUX = new URL("../../../packages/store/src/linux/", import.meta.url);

/** A module of the store's `src/linux`, by its file name; the caller says what it looks like. */
export async function loadStoreModule<Module>(file: string): Promise<Module> {
  return (await import(new URL(file, LINUX).href)) as Module;
}
