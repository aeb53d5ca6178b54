import assert from "node:assert/strict";
import { test } from "node:test";

import { changesInWords, FITTED, panned, points, windowLine, zoomed } from "../../../assets/app/compare.js";
import { chest } from "./facts.js";

const shown = ({ scale, x, y }, [u, v]) => [(u - x) / scale, (v - y) / scale]; // the film's place at a view's place

test("zooming keeps the place under the pointer", () => {
  const at = [0.7, 0.2];
  const before = panned(zoomed(FITTED, 2, [0.5, 0.5]), 0.1, -0.2);
  const after = zoomed(before, 1.7, at);
  shown(after, at).forEach((value, axis) => assert.ok(Math.abs(value - shown(before, at)[axis]) < 1e-12));
});

test("the film covers the view at every zoom and place", () => {
  for (const state of [zoomed(FITTED, 0.1), zoomed(FITTED, 100), panned(zoomed(FITTED, 3), 9, -9)]) {
    assert.ok(state.scale >= 1 && state.scale <= 8);
    for (const offset of [state.x, state.y]) assert.ok(offset <= 0 && offset >= 1 - state.scale);
  }
  assert.deepEqual(panned(FITTED, 0.3, 0.3), FITTED);
});

test("the window's ends become black and white", () => {
  const { slope, intercept } = windowLine({ centre: 0.4, width: 0.2 });
  for (const [grey, out] of [[0.3, 0], [0.4, 0.5], [0.5, 1]]) {
    assert.ok(Math.abs(slope * grey + intercept - out) < 1e-12);
  }
  assert.deepEqual(windowLine(FITTED), { slope: 1, intercept: 0 });
});

test("differences in words", () => {
  assert.equal(points(0.0534), "+5.3 points");
  assert.equal(points(-0.2), "−20.0 points");
  const change = (difference, beyond) => ({ difference, beyond });
  const none = Object.fromEntries(chest.findings.map(({ name }) => [name, change(0.01, false)]));
  assert.equal(changesInWords(chest, none), "Every difference is within what shaking the film gives.");
  const moved = { ...none, Mass: change(0.3, true), Nodule: change(-0.2, true) };
  assert.match(changesInWords(chest, moved), /: nodule \(lower now\) and mass \(higher now\)\. The rest is within/);
});
