import assert from "node:assert/strict";
import { test } from "node:test";

import { changesInWords, points } from "../../../assets/app/compare.js";
import { chest } from "./facts.js";

test("differences in words", () => {
  assert.equal(points(0.0534), "+5.3 points");
  assert.equal(points(-0.2), "−20.0 points");
  assert.equal(points(-0.0001), "0.0 points");
  const change = (difference, beyond) => ({ difference, beyond });
  const none = Object.fromEntries(chest.findings.map(({ name }) => [name, change(0.01, false)]));
  assert.equal(changesInWords(chest, none), "Every difference is within what shaking the film gives.");
  const moved = { ...none, Mass: change(0.3, true), Nodule: change(-0.2, true) };
  assert.match(changesInWords(chest, moved), /: nodule \(lower now\) and mass \(higher now\)\. The rest is within/);
});
