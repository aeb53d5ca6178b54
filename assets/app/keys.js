// The page's keys: what they do, and which one was pressed.

/** [keys as the browser names them, as printed, what they do, name of the action] */
export const KEYS = [
  [["+", "="], "+", "Zoom in", "zoomIn"],
  [["-"], "−", "Zoom out", "zoomOut"],
  [["0"], "0", "Whole film", "fit"],
  [["z"], "Z", "1:1, a film pixel on a screen pixel", "actual"],
  [["1"], "1", "Window as stored", "stored"],
  [["2"], "2", "Window automatic", "auto"],
  [["3"], "3", "Window for lung", "lung"],
  [["4"], "4", "Window for bone", "bone"],
  [["5"], "5", "Window of the full range", "full"],
  [["i"], "I", "Invert black and white", "invert"],
  [["r"], "R", "Turn by 90°", "turn"],
  [["m"], "M", "Mirror", "mirror"],
  [["a"], "A", "Analyse as shown", "analyse"],
  [["v"], "V", "Drag moves the film", "move"],
  [["w"], "W", "Drag changes window and level", "window"],
  [["l"], "L", "Drag measures a length", "ruler"],
  [["Backspace", "Delete"], "⌫", "Delete the last line", "undo"],
  [["g"], "G", "Magnifier", "lens"],
  [["o"], "O", "Heatmap on or off", "overlay"],
  [["s"], "S", "Side by side", "side"],
  [["d"], "D", "Slider", "slider"],
  [["b"], "B", "Boxes", "boxes"],
  [["e"], "E", "Erase a region", "erase"],
  [["]"], "]", "Next finding", "next"],
  [["["], "[", "Finding before", "before"],
  [["f"], "F", "Full screen", "full screen"],
  [["?"], "?", "This card", "card"],
];

/** Mouse, touch and keys that need the film in focus, [what is done, what it does]. */
export const GESTURES = [
  ["Wheel, or pinch", "Zoom to the pointer"],
  ["Drag", "Move the film once it is enlarged"],
  ["Double click", "Whole film; when it is whole, 1:1 there"],
  ["Right button, or Shift and drag", "Window (sideways) and level (up is brighter)"],
  ["Arrow keys on the film", "Move it; with Shift: window and level"],
  ["Escape", "Close, leave full screen, remove the lines"],
];

const TYPING = "select, textarea, [contenteditable], input:not([type=radio], [type=checkbox], [type=range])";

/** The action of a key; null for others, for chords, and while something is typed or chosen. */
export function actionOf({ key, ctrlKey, metaKey, altKey, target }) {
  if (ctrlKey || metaKey || altKey) return null;
  if (target?.closest?.(TYPING)) return null;
  const wanted = key.length === 1 ? key.toLowerCase() : key;
  return KEYS.find(([keys]) => keys.includes(wanted))?.[3] ?? null;
}
