import { errorKind } from "@stowage/content";
import { formatRepository, parseReference } from "@stowage/reference";

import { PolicyError } from "./policy-error.ts";
import { hasCredentials, shownScope } from "./scope/shown-scope.ts";
import { isReachableDockerScope } from "./scope/transport-scope.ts";

/** What a first policy trusts, without signatures. */
export interface PolicyDocumentOptions {
  /** Scopes of images in registries: `docker.io/library`, `quay.io`, `host:5000`, `*.example.com`. */
  readonly trust?: readonly string[] | undefined;
  /** Trust everything; contradicts `trust`. @defaultValue false */
  readonly trustAll?: boolean | undefined;
}

/**
 * Writes the text of a policy that allows what is named and rejects the rest.
 *
 * @throws {@link PolicyError} `ERR_POLICY_INVALID_ARGUMENT` for a scope that can match no image, or if
 *   both are given.
 */
export function createPolicyDocument(options: PolicyDocumentOptions): string {
  const { trust = [], trustAll = false } = options;
  if (trustAll && trust.length > 0) {
    throw new PolicyError(
      "ERR_POLICY_INVALID_ARGUMENT",
      "a policy trusts either everything or what is named",
    );
  }
  for (const scope of trust) requireReachable(scope);
  const accept = [{ type: "insecureAcceptAnything" }];
  const docker = Object.fromEntries(trust.map((scope) => [scope, accept]));
  const document = {
    default: trustAll ? accept : [{ type: "reject" }],
    ...(trust.length === 0 ? {} : { transports: { docker } }),
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

function requireReachable(scope: string): void {
  if (scope !== "" && isReachableDockerScope(scope)) return;
  throw new PolicyError(
    "ERR_POLICY_INVALID_ARGUMENT",
    `"${shownScope(scope)}" is no scope: it could match no image`,
    { hint: suggest(scope) },
  );
}

function suggest(scope: string): string {
  if (hasCredentials(scope)) {
    return "No scope has a user and a password: stowage login keeps those of a registry. Change the password: whoever looked at the command line knows it.";
  }
  const example = "Name a registry, a part of one, or a repository, as in docker.io/library.";
  try {
    return `${example} Perhaps ${formatRepository(parseReference(scope).repository)} is meant.`;
  } catch (error) {
    if (errorKind(error) === undefined) throw error;
    return example;
  }
}
