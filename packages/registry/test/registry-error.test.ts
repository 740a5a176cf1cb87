import { errorKind } from "@stowage/content";
import { RegistryError } from "@stowage/registry";
import { describe, expect, test } from "vitest";

describe("RegistryError", () => {
  test.for([
    ["ERR_REGISTRY_AUTH_FAILED", "AuthFailed", false],
    ["ERR_REGISTRY_CLOSED", "InvalidArgument", false],
    ["ERR_REGISTRY_DENIED", "AuthFailed", false],
    ["ERR_REGISTRY_BLOCKED", "PolicyRejected", false],
    ["ERR_REGISTRY_HELPER_FAILED", "CredHelperFailed", false],
    ["ERR_REGISTRY_INVALID_CONFIG", "ConfigFileInvalid", false],
    ["ERR_REGISTRY_INVALID_PROXY", "ConfigFileInvalid", false],
    ["ERR_REGISTRY_SHORT_NAME", "ReferenceInvalid", false],
    ["ERR_REGISTRY_INVALID_AUTH_FILE", "ConfigFileInvalid", false],
    ["ERR_REGISTRY_INVALID_CERTIFICATE", "ConfigFileInvalid", false],
    ["ERR_REGISTRY_NOT_FOUND", "RegistryNotFound", false],
    ["ERR_REGISTRY_PROTOCOL", "RegistryProtocol", false],
    ["ERR_REGISTRY_RATE_LIMITED", "RateLimited", true],
    ["ERR_REGISTRY_REALM_REFUSED", "AuthRealmRefused", false],
    ["ERR_REGISTRY_REDIRECT_REFUSED", "RedirectRefused", false],
    ["ERR_REGISTRY_STALLED", "PullStalled", true],
    ["ERR_REGISTRY_TLS", "TlsFailed", false],
    ["ERR_REGISTRY_TOO_LARGE", "LimitExceeded", false],
    ["ERR_REGISTRY_UNAVAILABLE", "RegistryUnavailable", true],
  ] as const)("E0 %s is of kind %s; to be tried again: %s", ([code, kind, retryable]) => {
    const error = new RegistryError(code, "what went wrong");
    expect(errorKind(error)).toBe(kind);
    expect(error).toMatchObject({ name: "RegistryError", code, retryable, diagnostics: [] });
    expect(Object.keys(error)).not.toContain("status");
  });
});
