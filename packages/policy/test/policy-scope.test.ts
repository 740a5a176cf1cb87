import {
  chooseRequirements,
  directoryScopes,
  dockerScopes,
  ociLayoutScopes,
  parsePolicy,
  scopesOf,
} from "@stowage/policy";
import { parseReference, withDefaultTag } from "@stowage/reference";
import { describe, expect, test } from "vitest";

const DIGEST = `sha256:${"0".repeat(64)}`;

describe("chooseRequirements", () => {
  test.for([
    ["P06 the image itself", "q.io/a/b:1", ["q.io/a/b:1", "q.io/a/b", "q.io"], "q.io/a/b:1"],
    ["P06 the repository", "q.io/a/b:2", ["q.io/a/b:1", "q.io/a/b", "q.io"], "q.io/a/b"],
    ["P06 its digest", `q.io/a@${DIGEST}`, [`q.io/a@${DIGEST}`, "q.io/a"], `q.io/a@${DIGEST}`],
    ["P06 the namespace", "busybox", ["docker.io", "docker.io/library"], "docker.io/library"],
    ["P06 the host", "docker.io/user/x", ["docker.io", "docker.io/library"], "docker.io"],
    ["P06 not a longer host", "example.com.evil/x", ["example.com"], undefined],
    ["P06 not a host that goes on", "example.comx/x", ["example.com"], undefined],
    ["P06 not a path that goes on", "q.io/ab/c", ["q.io/a"], undefined],
    ["P06 not another port", "q.io:5000/a", ["q.io", "q.io:5001"], undefined],
    ["P06 not another case", "Q.io/a", ["q.io"], undefined],
    ["P07 a wildcard", "a.example.com/x", ["*.example.com"], "*.example.com"],
    ["P07 the longest wildcard", "a.b.c/x", ["*.c", "*.b.c", ""], "*.b.c"],
    ["P07 a wildcard with any port", "a.example.com:5000/x", ["*.example.com"], "*.example.com"],
    ["P07 not its own domain", "example.com/x", ["*.example.com"], undefined],
    ["P07 not without the dot", "a.example.com/x", ["*example.com", "*", "a.*.com"], undefined],
    ["P07 not with a port", "a.com:5000/x", ["*.com:5000"], undefined],
    ["P08 not a short name", "busybox", ["busybox", "library/busybox"], undefined],
    ["P08 not a URL", "q.io/a", ["https://q.io", "HTTPS://q.io/a", "q.io/"], undefined],
    ["the transport", "q.io/a", ["", "x.io"], ""],
    ["P14 not what every object has", "q.io/a", ["__proto__", "constructor"], undefined],
  ] as const)("%s", ([, reference, scopes, expected]) => {
    const policy = policyWith("docker", scopes);
    const image = dockerScopes(parseReference(reference));
    const { scope } = chooseRequirements(policy, image);
    expect(scope.kind === "default" ? undefined : scope.text).toBe(expected);
  });

  test.for([
    ["its name", "app:1", "docker.io/library/app:1"],
    ["its repository", "app:2", "docker.io/library/app"],
    ["its host", "other", "docker.io"],
    ["the transport, if it goes by its ID", undefined, ""],
  ] as const)("an image in a Docker daemon: %s", ([, name, expected]) => {
    const scopes = ["docker.io/library/app:1", "docker.io/library/app", "docker.io", ""];
    const reference = name === undefined ? undefined : withDefaultTag(parseReference(name));
    const image = scopesOf({ transport: "docker-daemon", reference });
    expect(chooseRequirements(policyWith("docker-daemon", scopes), image).scope.text).toBe(
      expected,
    );
  });

  test("nothing is inherited from a wider scope, nor from the default", () => {
    const policy = parsePolicy(
      JSON.stringify({
        default: [{ type: "reject" }],
        transports: {
          docker: {
            "q.io": [{ type: "reject" }, { type: "reject" }],
            "q.io/a": [{ type: "insecureAcceptAnything" }],
          },
        },
      }),
    );
    const chosen = chooseRequirements(policy, dockerScopes(parseReference("q.io/a:1")));
    expect(chosen).toEqual({
      scope: { kind: "namespace", text: "q.io/a" },
      considered: [
        { kind: "identity", text: "q.io/a:1", found: false },
        { kind: "namespace", text: "q.io/a", found: true },
      ],
      requirements: [{ type: "insecureAcceptAnything" }],
    });
  });

  test("scopes of another transport are not looked at, nor what every object has", () => {
    const image = dockerScopes(parseReference("q.io/a"));
    expect(chooseRequirements(policyWith("atomic", ["q.io"]), image).scope.kind).toBe("default");
    const odd = { transport: "__proto__", identity: "constructor", namespaces: ["toString"] };
    expect(chooseRequirements(policyWith("docker", [""]), odd).scope.kind).toBe("default");
  });
});

describe("paths", () => {
  test("dir has its parents as namespaces, oci itself too, and neither the root", () => {
    expect(directoryScopes("/a/b/c").namespaces).toEqual(["/a/b", "/a"]);
    expect(ociLayoutScopes("/a/b/c").namespaces).toEqual(["/a/b/c", "/a/b", "/a"]);
    expect(directoryScopes("/a")).toEqual({ transport: "dir", identity: "/a", namespaces: [] });
  });

  test.for(["", "/", "a", "./a", "/a/", "/a//b", "/a/../b", "/./a"])("%j is refused", (path) => {
    const refusal = expect.objectContaining({
      code: "ERR_POLICY_INVALID_ARGUMENT",
      kind: "InvalidArgument",
    });
    expect(() => directoryScopes(path)).toThrow(refusal);
    expect(() => ociLayoutScopes(path)).toThrow(refusal);
  });
});

function policyWith(transport: string, scopes: readonly string[]) {
  const entries = scopes.map((scope) => `${JSON.stringify(scope)}:[{"type":"reject"}]`);
  return parsePolicy(
    `{"default":[{"type":"reject"}],"transports":{"${transport}":{${entries.join(",")}}}}`,
  );
}
