import assert from "node:assert/strict";
import { test } from "node:test";

import { boxBetween, nudged } from "../../../assets/app/boxes.js";

const close = (values, expected) =>
  expected.forEach((value, at) => assert.ok(Math.abs(values[at] - value) < 1e-9, `${values} is not ${expected}`));

test("a box is drawn from any corner and held on the film", () => {
  close(boxBetween([0.9, 0.7], [0.4, 1.3]), [0.4, 0.7, 0.9, 1]);
});

test("arrow keys move a box and change its size within the film", () => {
  close(nudged([0.1, 0.1, 0.3, 0.3], 0.02, 0, false), [0.12, 0.1, 0.32, 0.3]);
  close(nudged([0.01, 0.1, 0.3, 0.99], -0.02, 0.02, false), [0, 0.11, 0.29, 1]);
  close(nudged([0.1, 0.1, 0.3, 0.99], 0.02, 0.02, true), [0.1, 0.1, 0.32, 1]);
  close(nudged([0.1, 0.1, 0.11, 0.3], -0.02, 0, true), [0.1, 0.1, 0.11, 0.3]);
});
