import assert from "node:assert/strict";
import { test } from "node:test";

import { agreement, gateInWords, rowsOf } from "../../../assets/app/opinions.js";
import { chest, finding, pneumonia, report, three } from "./facts.js";

const open = { accepted: true, sentences: [] };
const opinion = (about, rows, gate = open) => ({ about, report: { ...report(rows), gate } });
const told = (opinions) => agreement(rowsOf(opinions), opinions);
const wide = { ...chest, findings: [finding("Effusion"), finding("Pneumonia")] };

test("findings are aligned by name, kinds of pneumonia add up, and the absence of disease is one row", () => {
  const names = ["a", "b", "c"];
  const opinions = [
    opinion(wide, { Effusion: [0.4, true, 0.3], Pneumonia: [0.1, false, 0.2] }),
    opinion(pneumonia, { Normal: [0.2, false, 0.6], Pneumonia: [0.8, true, 0.4] }),
    opinion(three, {
      Normal: [0.3, false, null], "Viral pneumonia": [0.6, true, null], "Bacterial pneumonia": [0.1, false, null],
    }),
  ].map((one, at) => ({ ...one, about: { ...one.about, name: names[at] } }));
  const rows = rowsOf(opinions);
  const row = (name) => rows.find((one) => one.name === name);
  assert.deepEqual(row("Pneumonia").cells.map((one) => one.positive), [false, true, true]);
  assert.ok(Math.abs(row("Pneumonia").cells[2].share - 0.7) < 1e-12);
  assert.equal(row("Pneumonia").cells[2].of, "viral + bacterial");
  assert.deepEqual(row("Normal").cells.map((one) => one && one.share), [null, 0.2, 0.3]);
  assert.deepEqual(row("Effusion").cells.slice(1), [null, null]);
  assert.equal(rows.at(-1).name, "Normal");
  assert.equal(rows[0].name, "Pneumonia");
  assert.equal(agreement(rows, opinions), "They disagree on pneumonia (called by b and c, not by a).");
});

test("agreement, and nothing to compare", () => {
  const alike = opinion(wide, { Effusion: [0.4, true, 0.3], Pneumonia: [0.1, false, 0.2] });
  assert.match(told([alike, alike]), /^They agree on all 2 findings that they share\.$/);
  const other = opinion({ ...chest, findings: [finding("Mass")] }, { Mass: [0.4, true, 0.3] });
  assert.match(told([alike, other]), /share no finding/);
});

test("no say: without a threshold, or where the gate refused the film", () => {
  const yes = opinion(wide, { Effusion: [0.4, true, 0.3], Pneumonia: [0.1, null, null] });
  const no = { Effusion: [0.1, false, 0.3], Pneumonia: [0.9, true, 0.2] };
  assert.match(told([yes, opinion(wide, no)]), /^They disagree on effusion \(/);
  const refused = { accepted: false, sentences: ["The film seems to be turned."] };
  assert.match(told([yes, opinion(wide, no, refused)]), /share no finding/);
  assert.equal(gateInWords({ gate: refused }), "refused: The film seems to be turned.");
  assert.equal(gateInWords({ gate: { accepted: null, sentences: [] } }), "has none");
});
