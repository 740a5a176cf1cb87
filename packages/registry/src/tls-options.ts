import tls, { createSecureContext, rootCertificates, type SecureContext } from "node:tls";

/** How a host proves itself, and how we do to it. Texts are PEM. */
export interface TlsOptions {
  /** `false` accepts any certificate, and where TLS fails altogether, plain HTTP. @defaultValue true */
  readonly verify?: boolean;
  /** Trusted besides `authorities`. */
  readonly ca?: readonly string[];
  /** Whom to trust in general. @defaultValue the authorities of Node and of the system */
  readonly authorities?: readonly string[];
  /** The client's certificate chain; goes with `key`. */
  readonly cert?: string;
  readonly key?: string;
}

const contexts = new WeakMap<TlsOptions, SecureContext>();
const DEFAULTS: TlsOptions = {};
let usual: readonly string[] | undefined;

/** The context of `options`; made once, since reading all the authorities takes milliseconds. */
export function secureContextOf(options: TlsOptions = DEFAULTS): SecureContext {
  let context = contexts.get(options);
  if (context === undefined) {
    const { ca = [], authorities, cert, key, verify = true } = options;
    // Who accepts any certificate needs no authorities.
    context = createSecureContext({
      ...(verify && { ca: [...(authorities ?? trustedAuthorities()), ...ca] }),
      cert,
      key,
    });
    contexts.set(options, context);
  }
  return context;
}

function trustedAuthorities(): readonly string[] {
  // Node older than 22.15 knows only its own list.
  usual ??=
    typeof tls.getCACertificates === "function"
      ? [...new Set([...tls.getCACertificates("default"), ...tls.getCACertificates("system")])]
      : rootCertificates;
  return usual;
}
