import { hasPeer, startDockerRegistry, startTokenServer } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

describe.runIf(hasPeer("docker-registry") && hasPeer("openssl"))(
  "a token server (if docker-registry and openssl are installed)",
  () => {
    test("gives tokens that docker-registry believes, for as much as one may", async () => {
      await using tokens = await startTokenServer({
        users: { user: "secret" },
        anonymousPull: true,
      });
      await using registry = await startDockerRegistry({ token: tokens.trust });
      const uploads = `${registry.url}/v2/a/b/blobs/uploads/`;
      const refused = await fetch(uploads, { method: "POST" });
      expect(refused.status).toBe(401);
      expect(refused.headers.get("www-authenticate")).toContain(tokens.trust.realm);

      const { realm, service } = tokens.trust;
      const query = new URLSearchParams({ service, scope: "repository:a/b:pull,push" });
      const tryWith = async (init: RequestInit): Promise<readonly [number, number]> => {
        const form = init.method === "POST";
        const { token } = (await (
          await fetch(form ? realm : `${realm}?${query}`, init)
        ).json()) as {
          token: string;
        };
        const headers = { authorization: `Bearer ${token}` };
        const pull = await fetch(`${registry.url}/v2/a/b/tags/list`, { headers });
        const push = await fetch(uploads, { method: "POST", headers });
        return [pull.status, push.status];
      };
      const authorization = `Basic ${Buffer.from("user:secret").toString("base64")}`;
      expect(await tryWith({})).toEqual([404, 401]);
      expect(await tryWith({ headers: { authorization } })).toEqual([404, 202]);
      const body = new URLSearchParams({ ...Object.fromEntries(query), username: "user" });
      body.set("password", "secret");
      expect(await tryWith({ method: "POST", body })).toEqual([404, 202]);
      const scopes = ["repository:a/b:pull,push"];
      expect(tokens.requests).toEqual([
        { method: "GET", service, scopes },
        { method: "GET", service, scopes, user: "user" },
        { method: "POST", service, scopes, user: "user" },
      ]);
    });

    test("refuses a wrong password, and a user whom it does not know", async () => {
      await using tokens = await startTokenServer({ users: { user: "secret" } });
      for (const user of ["user:wrong", "toString:", "other:secret"]) {
        const authorization = `Basic ${Buffer.from(user).toString("base64")}`;
        const answer = await fetch(tokens.trust.realm, { headers: { authorization } });
        expect(answer.status).toBe(401);
      }
    });
  },
);
