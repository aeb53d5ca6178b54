// Maps and their colours: numbers in, numbers out.

/**
 * Evidence against a finding, from dark to light blue. Like inferno it grows steadily in lightness, so that it reads
 * the same to colour-blind eyes and in print. It ends before white, as most of a film often speaks against a finding.
 */
export const BLUES = interpolate(
  ["#04122b", "#08295c", "#0f438d", "#1a60b8", "#2f80d6", "#55a0ea"].map((hex) =>
    [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)),
  ),
);

/** 256 colours, [red, green, blue] each, evenly between the given ones. */
export function interpolate(stops) {
  return Array.from({ length: 256 }, (_, step) => {
    const at = (step / 255) * (stops.length - 1);
    const low = Math.min(Math.floor(at), stops.length - 2);
    return stops[low].map((value, channel) => Math.round(value + (at - low) * (stops[low + 1][channel] - value)));
  });
}

/**
 * 256 colours as canvas words (alpha, blue, green, red from the top byte). A place covers the film in proportion to its
 * share of the scale, so the alpha of each colour is its number, times `most`.
 */
export function canvasWords(colours, most = 1) {
  return Uint32Array.from(colours, ([red, green, blue], step) => {
    return ((Math.round(most * step) << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  });
}

/**
 * For one axis of `size` pixels over a row of `cells`: [lower cell, upper cell, share of the way between them] of each
 * pixel. `from` and `to`: the part of the row that the pixels cover, in shares of it. Pixel centres, edges held: the
 * bilinear rule of the library's own film-size maps.
 */
export function along(size, cells, from, to) {
  return Array.from({ length: size }, (_, pixel) => {
    const at = (from + ((pixel + 0.5) / size) * (to - from)) * cells - 0.5;
    const low = Math.max(0, Math.min(cells - 1, Math.floor(at)));
    return [low, Math.min(cells - 1, low + 1), Math.max(0, Math.min(1, at - low))];
  });
}

/** The positive (sign 1) or negative (sign -1) part of a map, Float32Array of width x height pixels. */
export function enlarge(map, width, height, sign) {
  const cells = map.rows.map((row) => Float32Array.from(row, (value) => Math.max(0, sign * value)));
  const [left, top, right, bottom] = map.box;
  const columns = along(width, cells[0].length, left, right);
  const lines = along(height, cells.length, top, bottom);
  const out = new Float32Array(width * height);
  const row = new Float32Array(cells[0].length);
  for (let y = 0; y < height; y++) {
    const [above, below, down] = lines[y];
    for (let x = 0; x < row.length; x++) row[x] = cells[above][x] + down * (cells[below][x] - cells[above][x]);
    for (let x = 0; x < width; x++) {
      const [low, high, across] = columns[x];
      out[y * width + x] = row[low] + across * (row[high] - row[low]);
    }
  }
  return out;
}

/** The value that gets the strongest colour: one for all findings of a film, else the largest of this map. */
export function strongest(map) {
  return map.ceiling || Math.max(1e-6, ...map.rows.flat());
}

/**
 * A map's pixels as canvas words, Uint32Array of width x height.
 * @param {Uint32Array} forColours canvas words of evidence for the finding
 * @param {?Uint32Array} againstColours canvas words of evidence against it; null: only evidence for it is drawn
 */
export function colourMap(map, width, height, forColours, againstColours = null) {
  const words = new Uint32Array(width * height);
  const strength = new Uint8Array(width * height);
  const steps = 255 / strongest(map);
  const parts = [[enlarge(map, width, height, 1), forColours]];
  if (againstColours) parts.push([enlarge(map, width, height, -1), againstColours]);
  for (const [values, colours] of parts) {
    for (let pixel = 0; pixel < values.length; pixel++) {
      const step = Math.min(255, Math.round(values[pixel] * steps));
      if (step > strength[pixel]) [words[pixel], strength[pixel]] = [colours[step], step];
    }
  }
  return words;
}

/** A CSS gradient of canvas words as they look over the grey of a film. */
export function gradient(direction, colours) {
  const stops = Array.from({ length: 18 }, (_, at) => colours[at * 15]);
  const css = stops.map((word) => {
    const channels = [word & 255, (word >> 8) & 255, (word >> 16) & 255];
    return `rgb(${channels.join(" ")} / ${(word >>> 24) / 255})`;
  });
  return `linear-gradient(to ${direction}, ${css.join(", ")}) #8a8f94`;
}
