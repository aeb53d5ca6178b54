import assert from "node:assert/strict";
import { test } from "node:test";

import { dashboardAddress, grouped, withModel } from "../../../assets/app/menu.js";

const entries = [
  { name: "nih14", title: "nih14", hub: false },
  { name: "a/b@1", title: "a/b@1", hub: true },
];

test("a model joins the menu once", () => {
  const other = { name: "c/d@2", title: "c/d@2 (with a warning)", hub: true };
  assert.deepEqual(withModel(entries, other), [...entries, other]);
  assert.equal(withModel(entries, { ...entries[1], title: "another title" }), entries);
  assert.deepEqual([entries[0], other, other].reduce(withModel, []), [entries[0], other]);
});

test("models of the Hub stand in a group of their own, below", () => {
  const { own, hub } = grouped([entries[1], entries[0]]);
  assert.deepEqual([own, hub], [[entries[0]], [entries[1]]]);
});

test("the dashboard opens the same model; its own first page needs no name", () => {
  assert.equal(dashboardAddress("https://example.org/board", "nih14", entries), "https://example.org/board");
  const address = "https://example.org/board?model=a%2Fb%401";
  assert.equal(dashboardAddress("https://example.org/board", "a/b@1", entries), address);
});
