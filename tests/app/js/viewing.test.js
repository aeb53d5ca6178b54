import assert from "node:assert/strict";
import { test } from "node:test";

import { actionOf, KEYS } from "../../../assets/app/keys.js";
import { caveat, Rulers } from "../../../assets/app/rulers.js";
import { fileFacts, orientationInWords } from "../../../assets/app/viewing.js";

const spacing = { row_mm: 0.2, column_mm: 0.1, kind: "detector" };

test("a ruler measures in millimetres where the file gives a spacing, else in pixels", () => {
  const rulers = new Rulers(null);
  rulers.begin([0, 0]);
  rulers.extend([1, 0]);
  const film = { width: 1000, height: 500 };
  assert.deepEqual(rulers.lengths(film, spacing), [100]);
  assert.match(rulers.words(film, spacing), /^Ruler: 100 mm\. .*not corrected for magnification/);
  assert.match(rulers.words(film, null), /^Ruler: 1000 px\. /);
  rulers.begin([0, 0]);
  rulers.extend([0, 1]);
  assert.deepEqual(rulers.lengths(film, { ...spacing, row_mm: 0.1 }), [100, 50]);
  assert.match(rulers.words(film, { ...spacing, row_mm: 0.1 }), /100 mm, 50.0 mm; ratio 0.50/);
});

test("a click leaves no line", () => {
  const rulers = new Rulers(null);
  rulers.begin([0.5, 0.5]);
  rulers.extend([0.501, 0.5]);
  rulers.end({ width: 1000, height: 1000 }, 1);
  assert.deepEqual(rulers.lines, []);
});

test("what a spacing rests on is said", () => {
  assert.equal(caveat({ kind: "calibrated" }), "");
  assert.match(caveat({ kind: "unstated" }), /does not say/);
  assert.match(caveat(null), /no pixel spacing/);
});

test("facts of the file", () => {
  const facts = { view: "PA", age_years: 57, spacing: { ...spacing, row_mm: 0.1 } };
  const spaced = "0.1 mm a pixel (at the detector, not corrected for magnification)";
  assert.equal(fileFacts(facts), "View PA · age 57 · " + spaced);
  assert.equal(fileFacts({ view: "", age_years: null, spacing: null }), "no pixel spacing in the file");
  assert.match(fileFacts({ ...facts, age_years: 90 }), /age 90 or more/);
  assert.match(fileFacts({ ...facts, age_years: 0, spacing }), /age under 1 · 0.2 × 0.1 mm/);
});

test("how what is shown differs from what was read", () => {
  assert.equal(orientationInWords({ turn: 0, mirror: false }, false), "");
  assert.equal(orientationInWords({ turn: 3, mirror: true }, true), "turned by 90° to the right, mirrored, inverted");
});

test("each key has one action, and none while something is typed", () => {
  const keys = KEYS.flatMap(([names]) => names);
  assert.equal(new Set(keys).size, keys.length);
  assert.equal(actionOf({ key: "R" }), "turn");
  assert.equal(actionOf({ key: "?" }), "card");
  assert.equal(actionOf({ key: "r", ctrlKey: true }), null);
  assert.equal(actionOf({ key: "x" }), null);
  const field = { closest: () => ({}) };
  assert.equal(actionOf({ key: "r", target: field }), null);
});
