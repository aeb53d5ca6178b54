import assert from "node:assert/strict";
import { test } from "node:test";

import { isNoBetterThanNoise, localisationOf, locatedInWords } from "../../../assets/app/located.js";
import { chest, pneumonia } from "./facts.js";

const measured = (localisation, split = "test") => {
  return { dataset: "nih", split, findings: { Effusion: { auroc: null, localisation } } };
};
const good = { n: 40, hit: { value: 0.45, low: 0.3, high: 0.6 }, noise: { value: 0.12, low: 0.05, high: 0.25 } };
const told = (...evaluations) => locatedInWords({ ...chest, evaluations }, "Effusion").replaceAll("\u00a0", " ");

test("the hit rate and its control, where the bundle has them", () => {
  const expected =
    "On 40 films with a radiologist’s box (nih, test), the strongest place of the map lay in the box in 45 % " +
    "(30 % to 60 %), that of a random map in 12 %.";
  assert.equal(told(measured(good)), expected);
  assert.equal(told(measured({ ...good, n: 99 }, "val"), measured(good)), expected);
  assert.match(told(measured(undefined)), /not measured for this model/);
  assert.match(told(measured({ n: 0, hit: { value: null, why: "no film" } })), /not measured for this model/);
  assert.equal(locatedInWords(pneumonia, "Normal"), "");
});

test("maps whose hits do not exceed the control's are called no better than noise", () => {
  const poor = { ...good, hit: { value: 0.2, low: 0.1, high: 0.35 } };
  assert.ok(isNoBetterThanNoise(poor));
  assert.match(told(measured(poor)), /no better than noise, so the map is drawn faintly/);
  assert.ok(!isNoBetterThanNoise(good));
  assert.ok(!isNoBetterThanNoise(null));
});

test("few films without an interval say little, and soften nothing", () => {
  const few = { n: 3, hit: { value: 0.33, low: null, high: null }, noise: { value: 0.33, low: null, high: null } };
  assert.ok(!isNoBetterThanNoise(few));
  assert.match(told(measured(few)), /33 %, that of a random map in 33 %\. So few films say little\.$/);
  assert.equal(localisationOf({ ...chest, evaluations: [] }, "Effusion"), null);
});
