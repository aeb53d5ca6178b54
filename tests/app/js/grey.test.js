import assert from "node:assert/strict";
import { test } from "node:test";

import * as grey from "../../../assets/app/grey.js";

const grid = (rows) => ({ values: Uint16Array.from(rows.flat()), width: rows[0].length, height: rows.length });
const rows = ({ values, width, height }) => {
  return Array.from({ length: height }, (_, y) => [...values.slice(y * width, (y + 1) * width)]);
};
const shade = (word) => word & 255;

test("differences from the left are added up again, with and without high bytes", () => {
  assert.deepEqual([...grey.unpacked(Uint8Array.from([5, 250, 1, 255]), 2, 2)], [5, 255, 1, 0]);
  const [low, high] = [[0xff, 2, 0, 1], [0xff, 0, 1, 0xff]]; // 65535, then 2 more; 256, then 255 less
  assert.deepEqual([...grey.unpacked(Uint8Array.from([...low, ...high]), 2, 2)], [65535, 1, 256, 1]);
});

test("films are turned as by numpy.rot90 and then mirrored", () => {
  const film = grid([[1, 2, 3], [4, 5, 6]]);
  const shown = (turn, mirror) => rows(grey.oriented(film, { turn, mirror }));
  assert.deepEqual(shown(1, false), [[3, 6], [2, 5], [1, 4]]);
  assert.deepEqual(shown(2, false), [[6, 5, 4], [3, 2, 1]]);
  assert.deepEqual(shown(3, false), [[4, 1], [5, 2], [6, 3]]);
  assert.deepEqual(shown(1, true), [[6, 3], [5, 2], [4, 1]]);
  assert.deepEqual(shown(0, true), [[3, 2, 1], [6, 5, 4]]);
});

test("a half of a film is made of means of four", () => {
  const film = { values: Uint16Array.from({ length: 130 * 130 }, (_, at) => at % 7), width: 130, height: 130 };
  const levels = grey.halves(film);
  assert.deepEqual(levels.map(({ width }) => width), [130, 65, 33]);
  assert.equal(levels[1].values[0], Math.round((0 + 1 + (130 % 7) + (131 % 7)) / 4));
});

test("at 1:1 the visible pixels are the film's own, and the rest is left alone", () => {
  const film = grid([[1, 2, 3], [4, 5, 6], [7, 8, 9]]);
  const out = new Uint16Array(16);
  assert.deepEqual(grey.sample([film], { zoom: 1, left: -1, top: 1 }, out, 4, 4), [0, 1, 2, 4]);
  assert.deepEqual([...out], [0, 0, 0, 0, 2, 3, 0, 0, 5, 6, 0, 0, 8, 9, 0, 0]);
});

test("an enlarged film is interpolated between its pixels' centres and held at its edges", () => {
  const out = new Uint16Array(8);
  grey.sample([grid([[0, 100]])], { zoom: 4, left: 0, top: -1 }, out, 8, 1);
  assert.deepEqual([...out], [0, 0, 13, 38, 63, 88, 100, 100]);
});

test("a film of half the size is drawn from its means", () => {
  const half = grid([[10, 20]]);
  const out = new Uint16Array(2);
  grey.sample([grid([[0, 0, 0, 0], [0, 0, 0, 0]]), half], { zoom: 0.5, left: 0, top: 0 }, out, 2, 1);
  assert.deepEqual([...out], [10, 20]);
});

test("windows follow PS3.3 C.11.2.1: LINEAR, LINEAR_EXACT and SIGMOID", () => {
  const window = (shape, width = 100) => ({ center: 50, width, function: shape });
  assert.equal(grey.windowed(50, window("LINEAR_EXACT")), 0.5);
  assert.equal(grey.windowed(25, window("LINEAR_EXACT")), 0.25);
  assert.equal(grey.windowed(49.5, window("LINEAR")), 0.5);
  assert.equal(grey.windowed(-1, window("LINEAR")), 0);
  assert.equal(grey.windowed(50, window("SIGMOID")), 0.5);
  assert.deepEqual([49, 50].map((value) => grey.windowed(value, window("LINEAR", 1))), [0, 1]);
});

test("every value has a shade, in the file's units, and inversion exchanges black and white", () => {
  const film = { most: 4, first: -100, step: 50 };
  const window = { center: 0, width: 200, function: "LINEAR_EXACT" };
  assert.deepEqual([...grey.shades(film, window, false)].map(shade), [0, 64, 128, 191, 255]);
  assert.deepEqual([...grey.shades(film, window, true)].map(shade), [255, 191, 128, 64, 0]);
});

test("presets are ranges of the film's own values without its two ends", () => {
  const values = Uint16Array.from([...Array(500).fill(0), ...Array.from({ length: 100 }, (_, at) => at + 1), 4095]);
  const film = { values, most: 4095, first: 10, step: 2, inverted: false, window: { center: 1, width: 2 } };
  const windows = grey.presets(film);
  const ends = ({ center, width }) => [center - width / 2, center + width / 2];
  const units = (value) => 10 + 2 * value;
  assert.equal(windows.stored, film.window);
  assert.deepEqual(ends(windows.auto), [1, 99].map(units));
  assert.deepEqual(ends(windows.lung), [2, 55].map(units));
  assert.deepEqual(ends(windows.bone), [40, 100].map(units));
  assert.deepEqual(ends(windows.full), [0, 4095].map(units));
  const negative = grey.presets({ ...film, inverted: true });
  assert.deepEqual(ends(negative.lung), [45, 98].map(units));
});

test("a drag to the right widens a window, upwards it brightens, in a negative film too", () => {
  const film = { most: 600, step: 1, inverted: false };
  const window = { center: 100, width: 200, function: "LINEAR" };
  assert.deepEqual(grey.windowDragged(window, 10, -20, film), { center: 80, width: 210, function: "LINEAR" });
  assert.equal(grey.windowDragged(window, 0, -20, { ...film, inverted: true }).center, 120);
  assert.equal(grey.windowDragged(window, -1e6, 0, film).width, 1);
});

test("a window of one film is as far from its base on another film, in a negative the other way round", () => {
  const base = { center: 100, width: 200, function: "LINEAR" };
  const other = { center: 2000, width: 4000, function: "SIGMOID" };
  const window = { center: 150, width: 100, function: "LINEAR" };
  assert.deepEqual(grey.windowLike(window, base, other), { center: 3000, width: 2000, function: "SIGMOID" });
  assert.equal(grey.windowLike(window, base, other, true).center, 1000);
  assert.deepEqual(grey.windowLike(base, base, other), other);
});
