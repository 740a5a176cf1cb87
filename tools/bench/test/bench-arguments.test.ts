import { resolve } from "node:path";

import { expect, test } from "vitest";

import { parseBenchArguments } from "../src/bench-arguments.ts";
import { ROWS } from "../src/rows.ts";

test("every row is meant where none is named", () => {
  const parsed = parseBenchArguments([]);
  expect(parsed).toMatchObject({ what: "rows", names: Object.keys(ROWS), json: false });
  expect(parsed.options).toMatchObject({ pairs: 5, scale: 1, dropsCache: false });
});

test("rows, runs, scale, peers, places and the folder for results are taken as given", () => {
  const text =
    "usr tiny --runs 3 --scale 0.2 --peers podman,containerd --places disk --cold --json";
  const parsed = parseBenchArguments([...text.split(" "), "--out", "results"]);
  expect(parsed).toMatchObject({ names: ["usr", "tiny"], json: true });
  expect(parsed.out).toBe(resolve(process.env["INIT_CWD"] ?? ".", "results"));
  const peers = ["podman", "containerd"];
  const given = { pairs: 3, scale: 0.2, peers, places: ["disk"], dropsCache: true };
  expect(parsed.options).toMatchObject(given);
});

test("growth and parts are named as rows are", () => {
  expect(parseBenchArguments(["growth", "files"])).toMatchObject({
    what: "growth",
    names: ["files"],
  });
  expect(parseBenchArguments(["parts"])).toMatchObject({ what: "parts", names: [] });
});

test.for([
  [["--places", "moon"], /no place/],
  [["--runs", "0"], /no number/],
  [["nothing"], /no row nothing/],
] as const)("%j is refused", ([args, why]) => {
  expect(() => parseBenchArguments(args)).toThrow(why);
});
