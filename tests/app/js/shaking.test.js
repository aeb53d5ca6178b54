import assert from "node:assert/strict";
import { test } from "node:test";

import { answerTo } from "../../../assets/app/decisions.js";
import { shakenInWords } from "../../../assets/app/shaking.js";
import { chest, report, three } from "./facts.js";

const plain = (text) => text.replaceAll("\u00a0", " ");

test("how far a probability moves, and whether the answer stays", () => {
  const known = report({ Effusion: [0.6, true, 0.5], Nodule: [0.2, false, 0.3], Hernia: [0.1, null, null] });
  const films = { "as it is": known.probabilities, noise: { Effusion: 0.4, Nodule: 0.25, Hernia: 0.2 } };
  const told = (name) => plain(shakenInWords(chest, known, films, name));
  assert.equal(told("Effusion"), "Effusion: 40.0 % to 60.0 %. The answer stays in 1 of 2.");
  assert.equal(told("Nodule"), "Nodule: 20.0 % to 25.0 %. The answer stays in all of them.");
  assert.equal(told("Hernia"), "Hernia: 10.0 % to 20.0 %.");
});

test("of several classes the likeliest is the answer", () => {
  const [normal, viral, bacterial] = three.findings.map(({ name }) => name);
  const known = report({ [normal]: [0.5, true, null], [viral]: [0.3, false, null], [bacterial]: [0.2, false, null] });
  const mirrored = { [normal]: 0.4, [viral]: 0.5, [bacterial]: 0.1 };
  assert.equal(answerTo(known, mirrored, normal), false);
  assert.match(shakenInWords(three, known, { "as it is": known.probabilities, mirrored }, normal), /in 1 of 2/);
});
