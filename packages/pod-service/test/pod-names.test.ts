import {
  containerNameOf,
  createNameRegistrar,
  infraContainerNameOf,
  podNameOf,
} from "@stowage/pod-service";
import { describe, expect, test } from "vitest";

const POD = { name: "name", namespace: "ns", uid: "uid", attempt: 2 };

test("PM-38: names of pods and containers", () => {
  expect(podNameOf(POD)).toBe("k8s_name_ns_uid_2");
  expect(infraContainerNameOf(POD)).toBe("k8s_POD_name_ns_uid_2");
  expect(containerNameOf("c", POD, 5)).toBe("k8s_c_name_ns_uid_5");
});

describe("createNameRegistrar", () => {
  test("PM-39: a name is reserved once, and again for the same key", () => {
    const names = createNameRegistrar();
    names.reserve("n", "K");
    names.reserve("n", "K");
    expect(() => names.reserve("n", "K2")).toThrow(
      expect.objectContaining({ code: "ERR_POD_NAME_RESERVED" }),
    );
    expect(names.find("n")).toBe("K");
  });

  test("gives names back one by one, or all of a key", () => {
    const names = createNameRegistrar();
    for (const name of ["a", "b", "c"]) names.reserve(name, name === "c" ? "K2" : "K");
    names.release("a");
    names.release("a");
    names.reserve("a", "K2");
    names.releaseKey("K");
    expect(["a", "b", "c"].map((name) => names.find(name))).toEqual(["K2", undefined, "K2"]);
  });
});
