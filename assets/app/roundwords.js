// A round of reading in words: answers beside the truth and the model, scores, and what the model's answer changed.

import { STEPS } from "./rounds.js";
import { percent, wholePercent } from "./words.js";

/** A confidence in words, or as a number on the fine scale. */
export function confidenceInWords(value) {
  const step = STEPS.find(([, exact]) => exact === value);
  return step ? step[0].toLowerCase() : `${Math.round(100 * value)} of 100`;
}

/** Right, wrong or undecided: a confidence beside the truth (true, false, or null for unknown). */
export function verdictOf(confidence, present) {
  if (present === null) return "unknown";
  if (confidence === 0.5) return "undecided";
  return confidence > 0.5 === present ? "right" : "wrong";
}

/** Whether the model calls (true, false, or null without a threshold) what a reader's confidence does not. */
export const differs = (confidence, call) => typeof call === "boolean" && (confidence > 0.5) !== call;

/** The model's answer to a finding, in a few words; empty where it does not know it. */
export function modelInWords({ probabilities, positive }, name) {
  if (!(name in probabilities)) return "";
  const call = { true: ", above its threshold", false: ", below its threshold" }[positive[name]] ?? "";
  return `Model: ${percent(probabilities[name])}${call}`;
}

/** A share with its interval: "80 % (49 to 94 %)"; why it is missing where it is. */
export function shareInWords({ value, low, high, why }) {
  if (value === null) return why ? `none: ${why}` : "none";
  return low === null ? wholePercent(value) : `${wholePercent(value)} (${spanOf(low, high, 100)}\u00a0%)`;
}

/** An area with its interval: "0.87 (0.70 to 0.95)". */
export function areaInWords({ value, low, high, why }) {
  if (value === null) return why ? `none: ${why}` : "none";
  return low === null ? value.toFixed(2) : `${value.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`;
}

const spanOf = (low, high, factor) => `${Math.round(factor * low)} to ${Math.round(factor * high)}`;

/** Seconds as a reader counts them: "12 s", "2 min 5 s". */
export function timeInWords(seconds) {
  if (seconds === null) return "not measured";
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

/** What the model's answer changed, a sentence each. */
export function changesInWords({ changed, gain }) {
  const { answers, towards_truth: towards, away_from_truth: away } = changed;
  if (!towards && !away) return [`None of ${answers} answers changed.`];
  const lines = [
    `Of ${answers} answers ${towards + away} changed: ${towards} towards the truth, ${away} away from it.`,
    `Calls put right: ${changed.calls_corrected}; calls made wrong: ${changed.calls_spoiled}.`,
  ];
  const { difference } = gain;
  if (difference.value !== null && difference.low !== null) {
    const words = [difference.value, difference.low, difference.high].map(
      (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(2),
    );
    lines.push(`Your AUROC moved by ${words[0]} (${words[1]} to ${words[2]}, paired by case).`);
  }
  return lines;
}
