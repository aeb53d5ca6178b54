// How well a model's maps point to a finding: measured against radiologists' boxes, beside random maps.

import { findingOf, wholePercent } from "./words.js";

/** A finding's measured localisation: of the first evaluation that has one, test films before others; else null. */
export function localisationOf(about, name) {
  const tested = (entry) => Number(String(entry.split).includes("test"));
  const entries = [...about.evaluations].sort((a, b) => tested(b) - tested(a));
  const entry = entries.find(({ findings }) => typeof findings[name]?.localisation?.hit?.value === "number");
  return entry ? { ...entry.findings[name].localisation, on: `${entry.dataset}, ${entry.split}` } : null;
}

/** Whether hits were measured, and their interval does not lie above the random maps' share. */
export function isNoBetterThanNoise(measured) {
  const { hit, noise } = measured || {};
  return typeof hit?.low === "number" && typeof noise?.value === "number" && hit.low <= noise.value;
}

const ends = ({ low, high }) => (typeof low === "number" ? ` (${wholePercent(low)} to ${wholePercent(high)})` : "");

/** What was measured, in words; empty for what has no place on a film. */
export function locatedInWords(about, name) {
  const { title, normal } = findingOf(about, name);
  if (normal) return "";
  const measured = localisationOf(about, name);
  if (!measured) return `How often maps for ${title} point to the right place: not measured for this model.`;
  const { n, hit, noise, on } = measured;
  const films = `${n} film${n === 1 ? "" : "s"} with a radiologist’s box (${on})`;
  const control = typeof noise?.value === "number" ? `, that of a random map in ${wholePercent(noise.value)}` : "";
  const hits = `the strongest place of the map lay in the box in ${wholePercent(hit.value)}${ends(hit)}`;
  const told = `On ${films}, ${hits}${control}.`;
  if (isNoBetterThanNoise(measured)) {
    return `${told} That is no better than noise, so the map is drawn faintly: do not take it for the finding’s place.`;
  }
  return typeof hit.low === "number" ? told : `${told} So few films say little.`;
}
