import { isDomain, isTag } from "./grammar.ts";

/** What to tell somebody whose text the grammar refuses. */
export interface Explanation {
  /** The end of a sentence that begins with the quoted text. */
  readonly problem: string;
  readonly hint?: string | undefined;
}

const EXAMPLE = "Write [registry/]repository[:tag][@digest], as in quay.io/podman/hello:latest.";

// What other tools call a transport; a host of such a name with a port is none of the refused.
const PLACE =
  /^(?:containers-storage|dir|docker-archive|docker-daemon|oci|oci-archive|store|tarball):(?![0-9]{1,5}\/)(?=.*\/)/;

/** Looks for the mistakes that people make; the text was refused already, so this may be shallow. */
export function explainInvalid(text: string): Explanation {
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]{0,31}):\/\//.exec(text);
  if (scheme !== null) {
    return {
      problem: `is not an image reference: it begins with the scheme ${scheme[1]}://`,
      hint: "Leave the scheme out. Whether a registry is spoken to without TLS is an option.",
    };
  }
  const place = PLACE.exec(text)?.[0];
  if (place !== undefined) {
    return {
      problem: `is not an image reference: ${place} begins a place on this machine`,
      hint: `What is wanted here is the name of an image in a registry: ${EXAMPLE.replace("Write ", "")}`,
    };
  }
  if (text.trim() === "") return { problem: "is not an image reference: it is blank" };
  if (/[^\x21-\x7e]/.test(text)) {
    return {
      problem: "is not an image reference: it has white space or a character outside ASCII",
      hint: EXAMPLE,
    };
  }
  if (text.startsWith("[")) {
    return {
      problem: "is not an image reference: IPv6 addresses are not in the grammar",
      hint: "Give the registry a host name.",
    };
  }
  if (text.startsWith("/") || text.startsWith("./") || text.startsWith("../")) {
    return { problem: "is not an image reference: it looks like a file", hint: EXAMPLE };
  }
  // Cut by hand: an expression for this could take time that grows with the square of the text.
  const host = text.slice(0, Math.max(text.indexOf("/"), 0));
  if (host.includes(":") && !isDomain(host)) {
    return {
      problem: "is not an image reference: what stands before the first slash is no host[:port]",
      hint: "A port is a number from 1 to 65535, without leading zeros.",
    };
  }
  const tag = /:([^:/@]*)(?:@|$)/.exec(text)?.[1];
  if (tag !== undefined && !isTag(tag)) {
    return {
      problem: "is not an image reference: its tag is none",
      hint: "A tag is 1 to 128 letters, digits, _, . and -, and begins with none of the last two.",
    };
  }
  return { problem: "is not an image reference", hint: EXAMPLE };
}
