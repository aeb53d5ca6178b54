// A film's own grey values and how they become shades on the screen: numbers in, numbers out.
// A window is { center, width, function } in the file's units, first + step * value.

/** uint16 values of the bytes that cxrcore.films.grey_values packed, once they are inflated. */
export function unpacked(bytes, width, height) {
  const size = width * height;
  const high = bytes.length === 2 * size ? bytes.subarray(size) : null;
  const values = new Uint16Array(size);
  for (let row = 0; row < size; row += width) {
    let value = 0;
    for (let at = row; at < row + width; at++) {
      value += bytes[at] + (high ? high[at] << 8 : 0);
      values[at] = high ? (value &= 65535) : (value &= 255);
    }
  }
  return values;
}

/** Values turned (as numpy.rot90) and then mirrored: { values, width, height }. */
export function oriented({ values, width, height }, { turn, mirror }) {
  if (!turn && !mirror) return { values, width, height };
  const [across, down] = turn % 2 ? [height, width] : [width, height];
  // the index of the top left value shown, and the steps to the next column and row
  const last = width * height - 1;
  let [start, column] = [[0, 1], [width - 1, width], [last, -1], [last + 1 - width, -width]][turn];
  const row = [width, -1, -width, 1][turn];
  if (mirror) [start, column] = [start + column * (across - 1), -column];
  const out = new Uint16Array(values.length);
  for (let y = 0, to = 0; y < down; y++) {
    for (let x = 0, from = start + y * row; x < across; x++, from += column) out[to++] = values[from];
  }
  return { values: out, width: across, height: down };
}

/** The film and its halves, each pixel the mean of four: what is drawn smaller is drawn from these. */
export function halves(film) {
  const levels = [film];
  while (Math.min(levels.at(-1).width, levels.at(-1).height) > 64) levels.push(halved(levels.at(-1)));
  return levels;
}

function halved({ values, width, height }) {
  const [across, down] = [Math.ceil(width / 2), Math.ceil(height / 2)];
  const out = new Uint16Array(across * down);
  for (let y = 0, to = 0; y < down; y++) {
    const upper = 2 * y * width;
    const lower = Math.min(height - 1, 2 * y + 1) * width;
    for (let x = 0; x < across; x++) {
      const [left, right] = [2 * x, Math.min(width - 1, 2 * x + 1)];
      const sum = values[upper + left] + values[upper + right] + values[lower + left] + values[lower + right];
      out[to++] = (sum + 2) >> 2;
    }
  }
  return { values: out, width: across, height: down };
}

// Which of `screen` pixels a film of `length` pixels covers from `start`: [first, end].
function covered(screen, start, length) {
  const end = Math.min(screen, Math.ceil(start + length - 0.5));
  return [Math.max(0, Math.ceil(start - 0.5)), Math.max(0, end)];
}

// For each pixel of an axis: the cells on its two sides, and the share of the second.
function between([first, end], start, scale, cells) {
  const [low, high, share] = [new Int32Array(end), new Int32Array(end), new Float32Array(end)];
  for (let at = first; at < end; at++) {
    const exact = Math.min(cells - 1, Math.max(0, (at + 0.5 - start) / scale - 0.5));
    const near = Math.round(exact);
    low[at] = Math.abs(exact - near) < 1e-6 ? near : Math.floor(exact);
    high[at] = Math.min(cells - 1, low[at] + 1);
    share[at] = Math.max(0, exact - low[at]);
  }
  return [low, high, share];
}

/**
 * The values of the visible pixels, bilinear, from the level that is next larger.
 * @param levels what `halves` returns
 * @param place { zoom, left, top } in screen pixels
 * @param {Uint16Array} out of width x height screen pixels
 * @returns [left, top, right, bottom], the screen pixels that the film covers; others are left as they were
 */
export function sample(levels, { zoom, left, top }, out, width, height) {
  const level = Math.min(levels.length - 1, Math.max(0, Math.floor(-Math.log2(zoom) + 1e-9)));
  const { values, width: across, height: down } = levels[level];
  const columns = covered(width, left, levels[0].width * zoom);
  const rows = covered(height, top, levels[0].height * zoom);
  const [west, east, right] = between(columns, left, zoom * 2 ** level, across);
  const [north, south, lower] = between(rows, top, zoom * 2 ** level, down);
  for (let y = rows[0]; y < rows[1]; y++) {
    const [above, below, share] = [north[y] * across, south[y] * across, lower[y]];
    const line = y * width;
    for (let x = columns[0]; x < columns[1]; x++) {
      const [a, b, part] = [west[x], east[x], right[x]];
      const one = values[above + a] + part * (values[above + b] - values[above + a]);
      const two = values[below + a] + part * (values[below + b] - values[below + a]);
      out[line + x] = one + share * (two - one) + 0.5;
    }
  }
  return [columns[0], rows[0], columns[1], rows[1]];
}

/** A value in the file's units through a window, in [0, 1]: cxrcore.films.windowing.apply_window (PS3.3 C.11.2.1). */
export function windowed(value, { center, width, function: shape }) {
  if (shape === "SIGMOID") return 1 / (1 + Math.exp((-4 * (value - center)) / width));
  const [middle, range] = shape === "LINEAR" ? [center - 0.5, width - 1] : [center, width];
  if (range === 0) return value > middle ? 1 : 0;
  return Math.min(1, Math.max(0, (value - middle) / range + 0.5));
}

/** The shade of every value as a canvas word, Uint32Array. */
export function shades({ most, first, step }, window, inverted) {
  return Uint32Array.from({ length: most + 1 }, (_, value) => {
    const share = windowed(first + step * value, window);
    const grey = Math.round(255 * (inverted ? 1 - share : share));
    return (0xff000000 | (grey << 16) | (grey << 8) | grey) >>> 0;
  });
}

/** How often each value occurs. */
export function histogram(values, most) {
  const counts = new Uint32Array(most + 1);
  for (let at = 0; at < values.length; at++) counts[values[at]]++;
  return counts;
}

/**
 * The values below which the given percentages of a film lie. Its lowest and its highest value are left out where there
 * are others: borders, collimators and markers.
 */
export function percentiles(counts, percentages) {
  const inner = counts.slice();
  const low = counts.findIndex(Boolean);
  const high = counts.findLastIndex(Boolean);
  if (counts.subarray(low + 1, high).some(Boolean)) inner[low] = inner[high] = 0;
  const total = inner.reduce((sum, count) => sum + count, 0);
  return percentages.map((share) => {
    let [value, sum] = [0, inner[0]];
    while (value < inner.length - 1 && 100 * sum < share * total) sum += inner[++value];
    return value;
  });
}

// In per cent of the film's pixels, from dark (air) to bright (dense).
export const RANGES = { auto: [1, 99], lung: [2, 55], bone: [40, 99.5] };

/** The window of each preset: stored, auto, lung, bone, full. */
export function presets({ values, most, first, step, window, inverted }) {
  const counts = histogram(values, most);
  const between = (low, high) => ({
    center: first + (step * (low + high)) / 2,
    width: step * Math.max(1, high - low),
    function: "LINEAR_EXACT",
  });
  const range = ([dark, bright]) => {
    return between(...percentiles(counts, inverted ? [100 - bright, 100 - dark] : [dark, bright]));
  };
  const ranged = Object.fromEntries(Object.entries(RANGES).map(([name, shares]) => [name, range(shares)]));
  return { stored: window, ...ranged, full: between(counts.findIndex(Boolean), counts.findLastIndex(Boolean)) };
}

/**
 * A film's window as one of another film: as many times as wide as the window `base` of each, and as far from it in
 * widths. `turned`: one of the two files stores dense as dark.
 */
export function windowLike(window, base, otherBase, turned = false) {
  const shift = ((window.center - base.center) / base.width) * (turned ? -1 : 1);
  const width = (otherBase.width * window.width) / base.width;
  return { ...otherBase, width, center: otherBase.center + shift * otherBase.width };
}

/** A window after a drag by CSS pixels: to the right wider, which is flatter; upwards brighter. */
export function windowDragged(window, across, down, { most, step, inverted }) {
  const pixel = (step * most) / 600;
  const width = Math.max(step, window.width + across * pixel);
  return { ...window, width, center: window.center + (inverted ? -down : down) * pixel };
}
