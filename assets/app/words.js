// What the page says of an answer, in words and numbers.

const number = (share, digits) => (100 * share).toFixed(digits) + "\u00a0%";
const wholePercent = (share) => number(share, share < 0.1 ? 1 : 0);
function percent(share) {
  if (share < 0.0005) return "<\u00a00.1\u00a0%";
  return share > 0.9995 ? ">\u00a099.9\u00a0%" : number(share, 1);
}
const logits = (value) => value.toFixed(value < 1 ? 2 : value < 10 ? 1 : 0);
const count = (value) => Number(value).toLocaleString("en-GB");
const finding = (name) => state.about.findings.find((entry) => entry.name === name);
const disease = () => state.about.findings.find((entry) => !entry.normal);

const many = () => state.about.findings.length > 3;
const listed = (words) => words.join(", ").replace(/, ([^,]*)$/, " and $1");

// Above or below, in words.
function verdict(name, short) {
  const { positive, thresholds } = state.result.report;
  if (positive[name] === null) return short ? "no known threshold" : "no alarm threshold is known";
  if (state.about.binary && finding(name).normal) {
    return disease().title + (positive[name] ? " stays below its alarm threshold" : " is above its alarm threshold");
  }
  if (thresholds[name] === null) return positive[name] ? "the most likely here" : "less likely";
  return (positive[name] ? "above" : "below") + (short ? " its threshold of " : " this model's alarm threshold of ") + wholePercent(thresholds[name]);
}

function summary() {
  const { positive, probabilities } = state.result.report;
  const ill = state.about.findings.filter((entry) => !entry.normal);
  const alarms = ill.filter((entry) => positive[entry.name]);
  const decided = ill.filter((entry) => positive[entry.name] !== null);
  if (state.about.kind === "multiclass" && !state.about.binary) {
    return "Most likely: " + state.about.findings.find((entry) => positive[entry.name]).title;
  }
  if (!decided.length) {
    const first = ill.reduce((best, entry) => (probabilities[entry.name] > probabilities[best.name] ? entry : best));
    return (ill.length === 1 ? "" : "Highest: ") + first.title + ", " + percent(probabilities[first.name]);
  }
  if (ill.length === 1) return ill[0].title + (alarms.length ? " is above the alarm threshold" : " is below the alarm threshold");
  const without = ill.length - decided.length;
  const rest = without ? "; " + without + (without === 1 ? " has none" : " have none") : "";
  if (!alarms.length) return "No finding reaches its alarm threshold" + rest;
  if (alarms.length === 1) return alarms[0].title + " is above its alarm threshold" + rest;
  return alarms.length + " of " + ill.length + " findings are above their alarm threshold" + rest;
}

function evidence(map, title) {
  if (map.method === "random") {
    return "A random map, to compare with. It knows nothing of this film: where another map convinces no more than this one, it explains nothing.";
  }
  if (map.scale !== "logit") {
    return "This method ranks places and has no unit. Its strongest place always gets the strongest colour, so it cannot say how much evidence there is, or that there is none.";
  }
  const strength = "Evidence for " + title + " on this film: " + logits(map.strength) + " logits. ";
  if (map.evidence === null) return strength + "How much films without it show was not measured for this model.";
  const usual = logits(map.evidence_level);
  if (map.evidence) return strength + "That is more than 95 % of films without it show (up to " + usual + ").";
  return strength + "That is no more than films without it commonly show (up to " + usual + ").";
}

// The library's sentences begin small; what begins with a name stays as it is.
function sentence(words) {
  const begun = /^[a-z]+ /.test(words) ? words[0].toUpperCase() + words.slice(1) : words;
  return begun + (/[.!?]?$/.exec(begun)[0] || !begun ? "" : ".");
}

// The commonest misreading: a film of somebody whom the model has never seen the like of.
function howToRead() {
  const who = state.about.synthetic ? "" : state.about.who.slice(0, 160);
  return howBarsRead() + (who && " It learned from films of " + who + ". Others are new to it.");
}

function howBarsRead() {
  const { positive, thresholds } = state.result.report;
  const marks = Object.values(thresholds).filter((threshold) => threshold !== null).length;
  const none = "No alarm threshold was fitted for this model, so it calls nothing positive.";
  if (state.about.kind === "multilabel") {
    const what = "Each bar is the probability of one finding on films like those this model was tested on. ";
    return what + (marks === 0 ? none : "The mark is its alarm threshold" + (marks < Object.keys(positive).length ? ", where one is known." : "."));
  }
  if (!state.about.binary) return "The bars add up to 100 %. The longest one wins.";
  return "The bars add up to 100 %. " + (marks ? "The mark is the alarm threshold, chosen on films kept apart from training." : none);
}
