import { parsePolicy, type PolicyError } from "@stowage/policy";
import { expect } from "vitest";

/** What is said of a text that is no policy. */
export function policyErrorOf(text: string): PolicyError {
  try {
    parsePolicy(text, { source: "/etc/p.json" });
  } catch (error) {
    return error as PolicyError;
  }
  return expect.unreachable();
}
