// A case of a round as a form: its findings with what the reader, the model and the truth say of each.

import { make } from "./dom.js";
import { STEPS } from "./rounds.js";
import { confidenceInWords, differs, modelInWords, verdictOf } from "./roundwords.js";

const HINTS = {
  five: "Each finding begins at “Absent”. Keys 1 to 5 set the one in focus, Enter goes on.",
  fine: "0: surely absent, 100: surely present. Each finding begins at 0; above 50 counts as called.",
  boxes: " Mark where a finding is.",
};

/** The confidences on the screen: the first ones, or those after the model's answer. */
export const confidences = ({ after, answer }) => after || answer.before;

/** What a case's stage asks of the reader. */
export function hintOf({ set, stage, fine, model }) {
  if (stage === "read") return HINTS[fine ? "fine" : "five"] + (set.has_boxes ? HINTS.boxes : "");
  const gate = "The model’s input gate would not accept this film; its answer may mean nothing. ";
  const refused = model?.refused ? gate : "";
  const whose = model ? `Answered by ${set.model}. ` : "No model here knows these findings. ";
  return refused + (stage === "model" ? `${whose}Change what you would change now.` : model ? "" : whose);
}

/** The findings that the case has; empty until the truth is here. */
export function truthInWords({ truth, set }) {
  if (!truth) return "";
  const here = set.findings.filter(({ name }) => truth.present[name]).map(({ title }) => title);
  return "The truth: " + (here.length ? here.join(", ") : set.normal || "none of these findings");
}

/** The finding that the model holds for likeliest; null without one. */
export function mostLikely({ model }) {
  const entries = Object.entries(model.probabilities);
  return entries.sort(([, one], [, other]) => other - one)[0]?.[0] ?? null;
}

/** A finding of the case: its confidence to set, and what model and truth say once they are here. */
export function findingRow(round, { name, title, description }) {
  const { set, stage, fine, answer, model, truth } = round;
  const called = make("span", { id: `learn-${name}`, title: description }, title);
  const head = make("div", { className: "learn-head" }, called);
  if (set.has_boxes && stage === "read") {
    const boxes = answer.boxes[name]?.length ?? 0;
    const words = boxes ? "Mark another" : "Mark where";
    head.append(make("button", { type: "button", name: "mark", "aria-label": `${words}: ${title}` }, words));
    const remove = boxes === 1 ? "Remove the box" : `Remove ${boxes} boxes`;
    const label = { type: "button", name: "unmark", "aria-label": `${remove}: ${title}` };
    if (boxes) head.append(make("button", label, remove));
  }
  if (model) {
    head.append(make("span", { className: "learn-model" }, modelInWords(model, name)));
    const pressed = String(round.mapped === name);
    const label = { type: "button", name: "map", "aria-pressed": pressed, "aria-label": `Map: ${title}` };
    if (model.maps[name]) head.append(make("button", label, "Map"));
  }
  const choice = fine ? slider(round, name, title) : steps(round, name);
  const node = make("div", { className: "learn-finding" }, head, choice);
  node.dataset.finding = name;
  const note = make("p", { className: "learn-verdict" });
  if (truth) {
    const verdict = verdictOf(confidences(round)[name], truth.present[name]);
    node.dataset.verdict = verdict;
    const present = { true: "present", false: "absent", null: "not known" }[truth.present[name]];
    const said = confidenceInWords(confidences(round)[name]);
    note.textContent = `Truth: ${present}` + (verdict === "unknown" ? "" : `, you said ${said}: ${verdict}`);
  } else if (model && differs(answer.before[name], model.positive[name])) {
    note.textContent = "Differs from your answer.";
  }
  if (note.textContent) node.append(note);
  return node;
}

function steps(round, name) {
  const box = make("div", { className: "learn-steps", role: "radiogroup", "aria-labelledby": `learn-${name}` });
  STEPS.forEach(([words, value]) => {
    const input = make("input", { type: "radio", name: `learn-${name}`, value: String(Math.round(100 * value)) });
    input.checked = confidences(round)[name] === value;
    input.disabled = round.stage === "truth";
    box.append(make("label", {}, input, make("span", {}, words)));
  });
  return box;
}

function slider(round, name, title) {
  const value = String(Math.round(100 * confidences(round)[name]));
  const input = make("input", { type: "range", name: `learn-${name}`, min: 0, max: 100, value, "aria-label": title });
  input.disabled = round.stage === "truth";
  return make("div", { className: "learn-slide" }, input, make("output", {}, value));
}
