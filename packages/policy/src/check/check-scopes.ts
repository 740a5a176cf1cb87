import type { PolicyProblem } from "./policy-problem.ts";
import { findLookalikes } from "../scope/lookalike-host.ts";
import type { Policy } from "../policy.ts";
import { lineOfProblem } from "../policy-lines.ts";
import { hasCredentials, shownScope } from "../scope/shown-scope.ts";
import { isOneEditAway } from "../scope/spelled-alike.ts";
import { suggestScope } from "../scope/suggest-scope.ts";
import { tidyScope } from "../scope/tidy-scope.ts";
import { isReachableDockerScope, isTransport, TRANSPORTS } from "../scope/transport-scope.ts";

type Found = Pick<PolicyProblem, "problem" | "remedy" | "severity">;
/** The scope with the port that others have, unless it is there as well. */
type PortOf = (scope: string) => string | undefined;

/** Finds transports and scopes that are for no image, or for others than their author can have meant. */
export function checkScopes(policy: Policy): readonly PolicyProblem[] {
  const docker = policy.transports["docker"] ?? {};
  const ported = portedHosts(Object.keys(docker));
  const portOf: PortOf = (scope) => {
    const [host = ""] = scope.split("/");
    const other = ported.get(host);
    const meant = other === undefined ? undefined : other + scope.slice(host.length);
    return meant === undefined || Object.hasOwn(docker, meant) ? undefined : meant;
  };
  return Object.entries(policy.transports).flatMap(([transport, scopes]) => [
    ...checkTransport(policy, transport),
    ...Object.keys(scopes).flatMap((scope) => {
      const found = checkScope(transport, scope, portOf);
      if (found === undefined) return [];
      const path = scopePath(transport, scope);
      const { severity, ...told } = found;
      const line = lineOfProblem(policy, ["transports", transport, scope]);
      return [{ severity, path, ...line, ...told }];
    }),
  ]);
}

/** A scope as a JSON path. */
export function scopePath(transport: string, scope: string): string {
  return `transports.${shownScope(transport)}["${shownScope(scope)}"]`;
}

function checkTransport(policy: Policy, transport: string): readonly PolicyProblem[] {
  if (isTransport(transport)) return [];
  const plain = transport.trim().toLowerCase();
  const meant = TRANSPORTS.find((name) => name === plain || isOneEditAway(name, plain));
  return [
    {
      severity: "error",
      path: `transports.${shownScope(transport)}`,
      ...lineOfProblem(policy, ["transports", transport]),
      problem: "is no transport that images come by",
      remedy:
        meant === undefined
          ? "Images in registries are of the transport docker, and scopes stand below it."
          : `Write ${meant}.`,
    },
  ];
}

function checkScope(transport: string, scope: string, portOf: PortOf): Found | undefined {
  if (hasCredentials(scope)) {
    return {
      severity: "error",
      problem: "has a user or a password, which no scope has, so that it can match no image",
      remedy: `Write "${shownScope(tidyScope(scope))}", and change the password: whoever may read the policy knows it.`,
    };
  }
  return transport === "docker" ? checkDockerScope(scope, portOf) : undefined;
}

function checkDockerScope(scope: string, portOf: PortOf): Found | undefined {
  const [alike] = findLookalikes([scope]);
  const meant = alike && shownScope(alike.meant);
  if (!isReachableDockerScope(scope)) {
    return {
      severity: "error",
      problem: "can match no image",
      remedy: meant ? `Write ${meant} if that is meant.` : suggestScope(scope),
    };
  }
  const [host = ""] = scope.split("/");
  const small = host.toLowerCase() + scope.slice(host.length);
  if (small !== scope && meant !== small) {
    return {
      severity: "warning",
      problem: "has a host in capitals, and is only for images that are asked for in the same",
      remedy: `Write ${shownScope(small)}.`,
    };
  }
  if (alike !== undefined) {
    return {
      severity: "warning",
      problem: `looks like ${meant}, and is not: ${alike.why}`,
      remedy: `Write ${meant} if that is meant.`,
    };
  }
  const ported = portOf(scope);
  return ported === undefined
    ? undefined
    : {
        severity: "warning",
        problem: `covers nothing of ${shownScope(ported.split("/")[0] ?? "")}, as another scope calls the registry`,
        remedy: `A port is part of a registry's name: if it is left out here by a slip, write ${shownScope(ported)}, and both if images are asked for by both.`,
      };
}

/** Hosts that have a port somewhere, by what they are without. */
function portedHosts(scopes: readonly string[]): ReadonlyMap<string, string> {
  const hosts = scopes.map((scope) => scope.split("/")[0] ?? "").toReversed();
  const ported = hosts.filter((host) => /:\d+$/.test(host));
  return new Map(ported.map((host) => [host.replace(/:\d+$/, ""), host]));
}
