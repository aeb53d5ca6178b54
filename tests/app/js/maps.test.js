import assert from "node:assert/strict";
import { test } from "node:test";

import * as maps from "../../../assets/app/maps.js";

const close = (values, expected) =>
  expected.forEach((value, at) => assert.ok(Math.abs(values[at] - value) < 1e-6, `${values} is not ${expected}`));
const positions = (weights) => weights.map(([low, high, share]) => low + share * (high - low));
const whole = [0, 0, 1, 1];
const greys = maps.canvasWords(Array.from({ length: 256 }, (_, step) => [step, step, step]));

test("a row of cells is read between their centres, and held at its ends", () => {
  close(positions(maps.along(4, 2, 0, 1)), [0, 0.25, 0.75, 1]);
});

test("a part of a row", () => {
  close(positions(maps.along(2, 4, 0.5, 1)), [2, 3]);
});

test("a map is enlarged bilinearly, its positive and its negative part apart", () => {
  const map = { rows: [[0, 4], [-8, 0]], box: whole };
  close(maps.enlarge(map, 2, 2, 1), [0, 4, 0, 0]);
  close(maps.enlarge(map, 2, 2, -1), [0, 0, 8, 0]);
  close(maps.enlarge(map, 4, 1, 1), [0, 0.5, 1.5, 2]);
});

test("only the part of the map that the film covers is drawn", () => {
  const map = { rows: [[9, 1, 2, 9]], box: [0.25, 0, 0.75, 1] };
  close(maps.enlarge(map, 2, 1, 1), [1, 2]);
});

test("256 colours between the given ones, blue ones from dark to light", () => {
  const colours = maps.interpolate([[0, 0, 0], [255, 51, 0]]);
  assert.deepEqual([colours.length, colours[0], colours[5], colours[255]], [256, [0, 0, 0], [5, 1, 0], [255, 51, 0]]);
  const lightness = maps.BLUES.map(([red, green, blue]) => 0.2126 * red + 0.7152 * green + 0.0722 * blue);
  assert.ok(lightness.every((value, at) => at === 0 || value >= lightness[at - 1]));
});

test("a colour covers the film in proportion to its number", () => {
  const words = maps.canvasWords(maps.interpolate([[1, 2, 3], [1, 2, 3]]));
  assert.deepEqual([words[0], words[128], words[255]], [0x00030201, 0x80030201, 0xff030201]);
  const half = maps.canvasWords(maps.interpolate([[1, 2, 3], [1, 2, 3]]), 0.5);
  assert.deepEqual([half[0], half[255]], [0x00030201, 0x80030201]);
});

test("the ceiling gets the strongest colour, else the map's own maximum", () => {
  assert.equal(maps.strongest({ rows: [[1, 7]], ceiling: 3 }), 3);
  assert.equal(maps.strongest({ rows: [[1, 7]], ceiling: null }), 7);
  assert.ok(maps.strongest({ rows: [[0]], ceiling: null }) > 0);
  const map = { rows: [[0, 1, 4]], box: whole, ceiling: 2 };
  assert.deepEqual([...maps.colourMap(map, 3, 1, greys)].map((word) => word >>> 24), [0, 128, 255]);
});

test("evidence against is drawn only on request, where it is the stronger one, however little it covers", () => {
  const map = { rows: [[-2, 2]], box: whole, ceiling: 2 };
  const blues = maps.canvasWords(maps.BLUES, 0.3);
  assert.deepEqual([...maps.colourMap(map, 2, 1, greys)], [0, greys[255]]);
  assert.deepEqual([...maps.colourMap(map, 2, 1, greys, blues)], [blues[255], greys[255]]);
});

test("the scale's gradient", () => {
  const css = maps.gradient("left", greys);
  assert.match(css, /^linear-gradient\(to left, rgb\(0 0 0 \/ 0\), .*rgb\(255 255 255 \/ 1\)\) #8a8f94$/);
});
