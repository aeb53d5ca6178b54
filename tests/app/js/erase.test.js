import assert from "node:assert/strict";
import { test } from "node:test";

import * as erase from "../../../assets/app/erase.js";
import { chest, report, three } from "./facts.js";

const plain = (text) => text.replaceAll("\u00a0", " ");

test("a move is compared with the map's claim by direction and rough size", () => {
  const read = (move, claim) => erase.comparison({ move, claim });
  assert.match(read(-2.7, 1.8), /^They agree/);
  assert.match(read(0.9, -0.6), /^They agree/);
  assert.match(read(-0.08, 0.15), /^They agree/);
  assert.match(read(-2.7, 0.6), /^Same direction, but the answer moved more/);
  assert.match(read(-0.6, 2.7), /^Same direction, but the answer moved less/);
  assert.match(read(0.8, 0.8), /^They disagree: the answer moved the other way/);
  assert.match(read(-0.05, 1.2), /^They disagree: the answer hardly needs/);
  assert.match(read(-1.2, 0.05), /^They disagree: the map shows next to nothing/);
  assert.match(read(0.05, 0.05), /^The region hardly matters/);
  assert.match(read(-1.2, null), /no logit scale/);
});

test("before and after in words, with a threshold that was crossed", () => {
  const known = report({ Effusion: [0.81, true, 0.5], Nodule: [0.2, false, 0.3], Hernia: [0.1, null, null] });
  const pair = (before, after) => ({ probabilities: [before, after] });
  const rows = { Effusion: pair(0.81, 0.32), Nodule: pair(0.2, 0.4), Hernia: pair(0.1, 0.2) };
  const told = (name) => plain(erase.erasedInWords(chest, known, rows, name));
  const effusion = "Effusion: 81.0 % → 32.0 % without the dashed region, no longer above its threshold.";
  assert.equal(told("Effusion"), effusion);
  assert.match(told("Nodule"), /, now above its threshold\.$/);
  assert.equal(told("Hernia"), "Hernia: 10.0 % → 20.0 % without the dashed region.");
  const [normal, viral, bacterial] = three.findings.map(({ name }) => name);
  const won = report({ [normal]: [0.5, true, null], [viral]: [0.4, false, null], [bacterial]: [0.1, false, null] });
  const turned = { [normal]: pair(0.5, 0.3), [viral]: pair(0.4, 0.6), [bacterial]: pair(0.1, 0.1) };
  assert.match(erase.erasedInWords(three, won, turned, normal), /no longer the most likely\.$/);
  assert.match(erase.erasedInWords(three, won, turned, viral), /now the most likely\.$/);
});
