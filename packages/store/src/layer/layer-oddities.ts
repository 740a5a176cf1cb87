import { escapeText } from "@stowage/content";

/** What of a layer may not be what whoever built it meant. */
export interface LayerOddities {
  /** Directories without an entry of their own where a layer below has a symbolic link. */
  readonly overLinks: readonly Uint8Array[];
  readonly skippedDevices: number;
  readonly overlayXattrs: number;
}

const MAX_SHOWN = 4;

/** One sentence for each kind; none where there is nothing odd. */
export function sayOddities(oddities: LayerOddities): readonly string[] {
  const { overLinks, skippedDevices, overlayXattrs } = oddities;
  const said: string[] = [];
  if (overLinks.length > 0) {
    const shown = overLinks.slice(0, MAX_SHOWN).map((path) => `"${nameOf(path)}"`);
    const more = overLinks.length - shown.length;
    const names = more === 0 ? shown.join(", ") : `${shown.join(", ")} and ${more} more`;
    said.push(
      `it has files below ${names} and no entry for that: a directory hides the symbolic link of a layer below`,
    );
  }
  if (skippedDevices > 0) {
    said.push(`${skippedDevices} device files were left out, which only root can make`);
  }
  if (overlayXattrs > 0) {
    said.push(`${overlayXattrs} attributes were left out, which are overlayfs's own`);
  }
  return said;
}

function nameOf(path: Uint8Array): string {
  return escapeText(Buffer.from(path).toString(), 256);
}
