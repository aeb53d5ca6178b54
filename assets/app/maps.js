// Maps and colours: pure functions, no page.

// Contributions for a finding in inferno, the colours of `cxrcore.explain.overlay`; those against from dark to pale
// blue. Both grow steadily in lightness, so they read the same to colour-blind eyes and in print.
const FOR = ["#000004", "#160b39", "#420a68", "#6a176e", "#932667", "#bc3754", "#dd513a", "#f37819", "#fca50a", "#f6d746", "#fcffa4"];
const AGAINST = ["#05101f", "#0b2d52", "#145284", "#2a7fb0", "#55a5cc", "#93c9e2", "#d3ecf7"];

// 256 steps as canvas words (alpha, blue, green, red from the top byte): a place is coloured, and covers the film, in
// proportion to its share of the scale.
function ramp(stops) {
  const rgb = stops.map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  return Uint32Array.from({ length: 256 }, (_, step) => {
    const at = (step / 255) * (rgb.length - 1);
    const low = Math.min(Math.floor(at), rgb.length - 2);
    const [red, green, blue] = rgb[low].map((value, channel) => Math.round(value + (at - low) * (rgb[low + 1][channel] - value)));
    return ((step << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  });
}

const FOR_RAMP = ramp(FOR);
const AGAINST_RAMP = ramp(AGAINST);

// For one axis: which two cells of a row of `cells` each of `size` pixels lies between, and how far along. Pixel
// centres, edges held, the same bilinear rule as the library's own film-size maps.
function along(size, cells, from, to) {
  return Array.from({ length: size }, (_, pixel) => {
    const at = (from + ((pixel + 0.5) / size) * (to - from)) * cells - 0.5;
    const low = Math.max(0, Math.min(cells - 1, Math.floor(at)));
    return [low, Math.min(cells - 1, low + 1), Math.max(0, Math.min(1, at - low))];
  });
}

// The map `rows` on a grid of width x height pixels, its positive (sign 1) or negative (sign -1) part.
function enlarge(map, width, height, sign) {
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

// Colours of a map as ImageData; `top` is the value that gets the strongest colour.
function colour(map, width, height, top, against) {
  const image = new ImageData(width, height);
  const words = new Uint32Array(image.data.buffer);
  const parts = [[enlarge(map, width, height, 1), FOR_RAMP]];
  if (against) parts.push([enlarge(map, width, height, -1), AGAINST_RAMP]);
  for (const [values, colours] of parts) {
    const steps = 255 / top;
    for (let pixel = 0; pixel < values.length; pixel++) {
      const step = Math.min(255, Math.round(values[pixel] * steps));
      if (step > words[pixel] >>> 24) words[pixel] = colours[step];
    }
  }
  return image;
}
