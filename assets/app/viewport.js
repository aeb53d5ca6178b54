// Where a film lies in its pane: numbers in, numbers out. x to the right, y down. A view is null (the whole film fits)
// or { zoom, x, y }: CSS pixels a film pixel, and the film pixel, as shown, in the middle of the pane.

export const MOST_ZOOM = 32;
export const AS_READ = { turn: 0, mirror: false };

const within = (value, low, high) => Math.min(high, Math.max(low, value));

/** An orientation (`turn` as numpy.rot90, then `mirror`) after what is shown was turned by quarters to the left. */
export function turned({ turn, mirror }, quarters) {
  return { turn: (turn + (mirror ? -quarters : quarters) + 4) % 4, mirror };
}

/** An orientation after left and right of what is shown were exchanged. */
export const mirrored = ({ turn, mirror }) => ({ turn, mirror: !mirror });

export const isAsRead = ({ turn, mirror }) => !turn && !mirror;

/** The film's size as shown. */
export const sizeShown = ({ width, height }, { turn }) =>
  turn % 2 ? { width: height, height: width } : { width, height };

/** A point of the film as read, in shares of its sides, as it is shown. */
export function toShown([x, y], { turn, mirror }) {
  for (let at = 0; at < turn; at++) [x, y] = [y, 1 - x];
  return [mirror ? 1 - x : x, y];
}

/** The inverse of `toShown`. */
export function toRead([x, y], { turn, mirror }) {
  if (mirror) x = 1 - x;
  for (let at = 0; at < turn; at++) [x, y] = [1 - y, x];
  return [x, y];
}

/** A direction on the screen as a direction on the film as read. */
export function directionRead(x, y, orientation) {
  const [fromX, fromY] = toRead([0, 0], orientation);
  const [toX, toY] = toRead([x, y], orientation);
  return [toX - fromX, toY - fromY];
}

export const fitZoom = (size, pane) => Math.min(pane.width / size.width, pane.height / size.height);

/** A view held on the film: no empty pane where there is film to show, from fit (or 1:1, if smaller) to MOST_ZOOM. */
export function bounded(view, size, pane) {
  const fit = fitZoom(size, pane);
  if (!view) return { zoom: fit, x: size.width / 2, y: size.height / 2 };
  const zoom = within(view.zoom, Math.min(fit, 1), Math.max(fit, MOST_ZOOM));
  const held = (at, length, room) => {
    const half = room / zoom / 2;
    return length <= 2 * half ? length / 2 : within(at, half, length - half);
  };
  return { zoom, x: held(view.x, size.width, pane.width), y: held(view.y, size.height, pane.height) };
}

/**
 * Where the film's top left corner, as shown, lies in the pane: { zoom, left, top } in CSS pixels. Where a film pixel
 * takes a whole number of the screen's, `ratio` a CSS pixel, it is laid on them.
 */
export function placed(view, size, pane, ratio = 1) {
  const { zoom, x, y } = bounded(view, size, pane);
  const whole = Number.isInteger(zoom * ratio);
  const laid = (at) => (whole ? Math.round(at * ratio) / ratio : at);
  return { zoom, left: laid(pane.width / 2 - x * zoom), top: laid(pane.height / 2 - y * zoom) };
}

/** The film pixel, as shown, under a point of the pane. */
export const pointed = ({ zoom, left, top }, [x, y]) => [(x - left) / zoom, (y - top) / zoom];

/**
 * A view at another zoom, with the film pixel that was under a point of the pane still there, or under the point `to`;
 * null where the film fits again.
 */
export function zoomedTo(view, size, pane, zoom, point, to = point) {
  const fit = fitZoom(size, pane);
  const next = within(zoom, Math.min(fit, 1), Math.max(fit, MOST_ZOOM));
  if (Math.abs(next - fit) < 1e-9) return null;
  const [x, y] = pointed(placed(view, size, pane), point);
  const middle = { x: x - (to[0] - pane.width / 2) / next, y: y - (to[1] - pane.height / 2) / next };
  return bounded({ zoom: next, ...middle }, size, pane);
}

/** A view after the film was dragged by CSS pixels. */
export function dragged(view, size, pane, across, down) {
  if (!view) return null;
  const { zoom, x, y } = bounded(view, size, pane);
  return bounded({ zoom, x: x - across / zoom, y: y - down / zoom }, size, pane);
}

/** A view of one film as one of another: as many times its fit, around the same place in shares of its sides. */
export function viewLike(view, size, pane, otherSize, otherPane) {
  if (!view) return null;
  const { zoom, x, y } = bounded(view, size, pane);
  const like = { x: (x / size.width) * otherSize.width, y: (y / size.height) * otherSize.height };
  like.zoom = (zoom / fitZoom(size, pane)) * fitZoom(otherSize, otherPane);
  return bounded(like, otherSize, otherPane);
}

/** The longest of 1, 2, 5, 10, ... mm that takes at most `room` CSS pixels at `mm` a CSS pixel: { mm, length }. */
export function scaleBar(mm, room) {
  const most = mm * room;
  const ten = 10 ** Math.floor(Math.log10(most));
  const length = [5, 2, 1].find((step) => step * ten <= most * (1 + 1e-9)) * ten;
  return { mm: length, length: length / mm };
}

/** The distance of two points of the film as read, [x, y] in its pixels: in mm with a spacing, else in pixels. */
export function distance([x, y], [toX, toY], spacing) {
  const { column_mm: across, row_mm: down } = spacing || { column_mm: 1, row_mm: 1 };
  return Math.hypot((toX - x) * across, (toY - y) * down);
}
