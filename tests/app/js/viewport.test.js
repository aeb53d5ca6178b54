import assert from "node:assert/strict";
import { test } from "node:test";

import * as viewport from "../../../assets/app/viewport.js";

const film = { width: 400, height: 200 };
const pane = { width: 100, height: 100 };
const close = (values, expected) =>
  expected.forEach((value, at) => assert.ok(Math.abs(values[at] - value) < 1e-9, `${values} is not ${expected}`));

test("the whole film lies in the middle of its pane", () => {
  assert.deepEqual(viewport.placed(null, film, pane), { zoom: 0.25, left: 0, top: 25 });
});

test("zooming keeps the film pixel under the pointer, time and again", () => {
  const point = [30, 60];
  let view = viewport.zoomedTo(null, film, pane, 0.5, point); // now it is as high as its pane
  const under = () => viewport.pointed(viewport.placed(view, film, pane), point);
  const before = under();
  for (const zoom of [1.7, 8, 31]) {
    view = viewport.zoomedTo(view, film, pane, zoom, point);
    assert.equal(view.zoom, zoom);
    close(under(), before);
  }
});

test("a zoom below fit is fit, and one beyond the most is the most", () => {
  const near = viewport.zoomedTo(null, film, pane, 4, [50, 50]);
  assert.equal(viewport.zoomedTo(near, film, pane, 0.01, [10, 10]), null);
  assert.equal(viewport.zoomedTo(near, film, pane, 1e9, [10, 10]).zoom, viewport.MOST_ZOOM);
});

test("a small film can be shown smaller than its pane, down to 1:1", () => {
  const small = { width: 10, height: 10 };
  const view = viewport.zoomedTo(null, small, pane, 0.1, [50, 50]);
  assert.deepEqual(viewport.placed(view, small, pane), { zoom: 1, left: 45, top: 45 });
});

test("dragging moves the film as far as the pointer and not beyond its edges", () => {
  const view = viewport.zoomedTo(null, film, pane, 1, [50, 50]);
  const from = viewport.placed(view, film, pane);
  const to = viewport.placed(viewport.dragged(view, film, pane, -7, 5), film, pane);
  assert.deepEqual([to.left - from.left, to.top - from.top], [-7, 5]);
  const edge = viewport.placed(viewport.dragged(view, film, pane, 1e6, -1e6), film, pane);
  assert.deepEqual([edge.left, edge.top], [0, -100]);
  assert.equal(viewport.dragged(null, film, pane, 10, 10), null);
});

test("at 1:1 film pixels lie on the screen's", () => {
  const view = { zoom: 1, x: 200.3, y: 100.4 };
  const { left, top } = viewport.placed(view, film, pane);
  assert.ok(Number.isInteger(left) && Number.isInteger(top));
  assert.ok(Number.isInteger(2 * viewport.placed({ ...view, zoom: 0.5 }, { width: 800, height: 800 }, pane, 2).left));
});

test("orientations follow numpy: rot90, then the left and right exchanged", () => {
  // the top right of [[0, 1], [2, 3]]: after rot90 once top left, twice bottom left, thrice bottom right
  const corner = [0.75, 0.25];
  const places = [0, 1, 2, 3].map((turn) => viewport.toShown(corner, { turn, mirror: false }));
  assert.deepEqual(places, [[0.75, 0.25], [0.25, 0.25], [0.25, 0.75], [0.75, 0.75]]);
  assert.deepEqual(viewport.toShown(corner, { turn: 1, mirror: true }), [0.75, 0.25]);
  for (let turn = 0; turn < 4; turn++) {
    for (const mirror of [false, true]) {
      const orientation = { turn, mirror };
      close(viewport.toRead(viewport.toShown([0.1, 0.7], orientation), orientation), [0.1, 0.7]);
    }
  }
});

test("buttons turn and mirror what is shown, whatever was done before", () => {
  for (const start of [{ turn: 0, mirror: false }, { turn: 1, mirror: true }, { turn: 2, mirror: true }]) {
    const [x, y] = viewport.toShown([0.1, 0.7], start);
    close(viewport.toShown([0.1, 0.7], viewport.turned(start, 1)), [y, 1 - x]);
    close(viewport.toShown([0.1, 0.7], viewport.turned(start, -1)), [1 - y, x]);
    close(viewport.toShown([0.1, 0.7], viewport.mirrored(start)), [1 - x, y]);
  }
});

test("a direction on the screen in the film's own axes", () => {
  close(viewport.directionRead(1, 0, { turn: 2, mirror: false }), [-1, 0]);
  close(viewport.directionRead(1, 0, { turn: 0, mirror: true }), [-1, 0]);
});

test("a scale bar is a round length that fits", () => {
  assert.deepEqual(viewport.scaleBar(0.5, 150), { mm: 50, length: 100 });
  assert.deepEqual(viewport.scaleBar(0.02, 150), { mm: 2, length: 100 });
  assert.equal(viewport.scaleBar(0.5, 200).mm, 100);
});

test("distances use the spacing of each axis", () => {
  assert.equal(viewport.distance([0, 0], [3, 4], null), 5);
  assert.equal(viewport.distance([0, 0], [30, 40], { column_mm: 0.1, row_mm: 0.2 }), Math.hypot(3, 8));
});

test("a view is the same part of another film in another pane", () => {
  const [other, otherPane] = [{ width: 1200, height: 600 }, { width: 60, height: 60 }];
  assert.equal(viewport.viewLike(null, film, pane, other, otherPane), null);
  const view = viewport.zoomedTo(null, film, pane, 1, [50, 50]);
  const like = viewport.viewLike({ ...view, x: 100, y: 100 }, film, pane, other, otherPane);
  assert.deepEqual(like, { zoom: 0.2, x: 300, y: 300 });
});
