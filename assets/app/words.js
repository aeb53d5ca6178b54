// A result in words and numbers. `about`: the model's facts; `report`: what /analyse returns for the film. What is said
// of the film and of each finding (byAlarm, verdict, summary, sentenceOf) is said in the same words by the library's
// cxrcore/models/answer_words.py; tests/app/js/answers.json holds cases for both.

const FEW = 3; // findings or classes that are told one by one
const SLIGHTLY = 1.25; // times the level of films without the finding; a map below that is slightly stronger

const number = (share, digits) => (100 * share).toFixed(digits) + "\u00a0%";

/** 0.044 -> "4.4 %", 0.8 -> "80 %": a threshold or a rate. */
export const wholePercent = (share) => number(share, share < 0.1 ? 1 : 0);

/** 0.4567 -> "45.7 %": a probability; never 0 or 100. */
export function percent(share) {
  if (share < 0.0005) return "<\u00a00.1\u00a0%";
  return share >= 0.9995 ? ">\u00a099.9\u00a0%" : number(share, 1);
}

/** 0.123 -> "0.12", 1.23 -> "1.2", 12.3 -> "12". */
export const logits = (value) => value.toFixed(value < 1 ? 2 : value < 10 ? 1 : 0);

/** 0.421 -> "+0.42", -1.5 -> "−1.50": logits that add up. */
export const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(2);

/** 1234 -> "1,234". */
export const count = (value) => Number(value).toLocaleString("en-GB");

/** ["a", "b", "c"] -> "a, b and c". */
export const listed = (words) => words.join(", ").replace(/, ([^,]*)$/, " and $1");

export const findingOf = (about, name) => about.findings.find((entry) => entry.name === name);
export const diseases = (about) => about.findings.filter((entry) => !entry.normal);
export const isLong = (about) => about.findings.length > FEW;

/** The library's sentences begin small; what begins with a name stays as it is. */
export function sentence(words) {
  const begun = /^[a-z]+ /.test(words) ? words[0].toUpperCase() + words.slice(1) : words;
  return begun + (/[.!?]?$/.exec(begun)[0] || !begun ? "" : ".");
}

/** How many findings have which of three answers. */
function counted(about, { positive }) {
  const names = diseases(about).map(({ name }) => positive[name]);
  const parts = [[true, "ruled in"], [false, "ruled out"], [null, "unsure"]];
  const words = parts.map(([answer, title]) => [names.filter((one) => one === answer).length, title]);
  return listed(words.filter(([many]) => many).map(([many, title]) => `${many} ${title}`));
}

/** Of several findings those above their threshold first, the likeliest first among them; of classes the likeliest. */
export function byAlarm(about, { positive, probabilities, limits }) {
  const alarm = ({ name }) => Number((about.kind === "multilabel" || Boolean(limits)) && positive[name] === true);
  const rank = (a, b) => alarm(b) - alarm(a) || probabilities[b.name] - probabilities[a.name];
  return [...about.findings].sort(rank);
}

/** Above the answer to a drawn film. `before`: the model that the visitor had chosen, where another reads the film. */
export function drawnFilm(about, before) {
  const drawn = "This film is drawn by a program and shows nobody. ";
  if (!about.synthetic) return drawn + "What a model that learned from people’s films says of it means nothing.";
  const next = before ? ` A film of your own goes to ${before} again.` : "";
  return `${drawn}${about.name}, which learned from such drawings, reads it.${next}`;
}

/** Whether a finding is above its threshold, beside its bar. Of two classes, only the disease has a verdict. */
export function verdict(about, report, name) {
  const { positive, thresholds } = report;
  const short = isLong(about);
  if (about.binary && findingOf(about, name).normal) return "";
  if (report.limits) {
    const { out, into } = report.limits;
    if (positive[name] === null) return "unsure";
    if (positive[name]) return `ruled in, above ${wholePercent(into[name])}`;
    return `ruled out, below ${wholePercent(out[name])}`;
  }
  if (positive[name] === null) return short ? "no known threshold" : "no alarm threshold is known";
  if (thresholds[name] === null) return positive[name] ? "the most likely here" : "less likely";
  const threshold = short ? "its threshold" : "this model's alarm threshold";
  return `${positive[name] ? "above" : "below"} ${threshold} of ${wholePercent(thresholds[name])}`;
}

/** Why findings are withheld, in one line. */
export function refusal({ reasons }) {
  const turned = reasons.includes("ROTATED") || reasons.includes("INVERTED");
  if (reasons.includes("NOT_A_CHEST_XRAY")) return "Not a film that this model can read";
  return turned ? "The film is not as this model expects it" : "This model cannot read this view";
}

/** What would put a film right, as an offer or, `done`, as a fact; empty where nothing would. */
export function correction({ turn, invert }, done = false) {
  const degrees = { 1: "90° to the left", 2: "180°", 3: "90° to the right" }[turn];
  const turning = degrees && (done ? "turned by " : "turn it by ") + degrees;
  const inverting = invert && (done ? "black and white exchanged" : "exchange black and white");
  const words = [turning, inverting].filter(Boolean).join(" and ");
  return done || !words ? words : words[0].toUpperCase() + words.slice(1);
}

/** The result in one line. */
export function summary(about, report) {
  const { positive, probabilities, limits } = report;
  if (limits && diseases(about).length > 1) return `Of ${diseases(about).length} findings: ${counted(about, report)}`;
  if (limits) return `${diseases(about)[0].title}: ${counted(about, report).slice(2)}`;
  if (about.kind === "multiclass" && !about.binary) return mostLikely(about, report);
  const findings = diseases(about);
  const single = findings.length === 1;
  const decided = findings.filter((entry) => positive[entry.name] !== null);
  if (!decided.length) {
    const higher = (best, entry) => (probabilities[entry.name] > probabilities[best.name] ? entry : best);
    const highest = findings.reduce(higher);
    return (single ? "" : "Highest: ") + highest.title + ", " + percent(probabilities[highest.name]);
  }
  const alarms = findings.filter((entry) => positive[entry.name]);
  if (single) return `${findings[0].title} is ${alarms.length ? "above" : "below"} the alarm threshold`;
  const undecided = findings.length - decided.length;
  const rest = undecided ? `; ${undecided} ${undecided === 1 ? "has" : "have"} none` : "";
  if (!alarms.length) return "No finding reaches its alarm threshold" + rest;
  if (alarms.length === 1) return alarms[0].title + " is above its alarm threshold" + rest;
  return `${alarms.length} of ${findings.length} findings are above their alarm threshold${rest}`;
}

function mostLikely(about, { positive, probabilities }) {
  const winner = about.findings.find((entry) => positive[entry.name]);
  const words = `Most likely: ${winner.title} (${percent(probabilities[winner.name])})`;
  const abnormal = diseases(about).sort((a, b) => probabilities[b.name] - probabilities[a.name]);
  if (abnormal.length === about.findings.length || abnormal.length < 2) return words;
  const sum = abnormal.reduce((all, { name }) => all + probabilities[name], 0);
  return `${words}; ${together(abnormal.map(({ title }) => title.toLowerCase()))} together ${percent(sum)}`;
}

// Titles as a list, a last word that all share said once: "viral and bacterial pneumonia".
function together(titles) {
  if (titles.length > FEW) return "all other classes";
  const parts = titles.map((title) => /^(.*?) ?([^ ]*)$/.exec(title).slice(1));
  const shared = parts.every(([first, last]) => first && last === parts[0][1]);
  return shared ? `${listed(parts.map(([first]) => first))} ${parts[0][1]}` : listed(titles);
}

/** What probability, threshold and map say of a finding together. `map`: as sent; without its level, the first two. */
export function sentenceOf(about, report, name, map) {
  const { title, normal } = findingOf(about, name);
  const positive = report.positive[name];
  if (about.binary && normal) {
    const [other] = diseases(about);
    const share = percent(report.probabilities[other.name]);
    return `What remains of 100\u00a0% beside ${other.title.toLowerCase()} (${share}).`;
  }
  const small = title.toLowerCase();
  const begun = decided(report, name, title, "The");
  const evidence = map?.evidence ?? null;
  if (evidence === null) return `${begun}.`;
  const compared = comparedMap(about, map);
  const answered = report.limits ? positive !== true && evidence : positive === false;
  if (evidence && answered) return `The map ${compared}, but ${decided(report, name, small)}.`;
  if (positive === false && !normal) {
    return `Nothing on this film stands out for ${small}: ${decided(report, name, "it")}, and the map ${compared}.`;
  }
  return `${begun}, ${positive && !evidence ? "but" : "and"} the map ${compared}.`;
}

// The probability beside its threshold, its limits, or the other classes.
function decided({ positive, probabilities, thresholds, limits }, name, subject, the = "the") {
  const [answer, threshold, share] = [positive[name], thresholds[name], percent(probabilities[name])];
  if (limits) return `${the} probability (${share}) ${limited(answer, limits.out[name], limits.into[name])}`;
  if (answer === null) return `${the} probability is ${share} (no alarm threshold is known)`;
  if (threshold === null) {
    return `${subject} is ${answer ? "the most likely class" : "less likely than another class"} (${share})`;
  }
  const side = answer ? "is above" : "stays below";
  return `${the} probability (${share}) ${side} the alarm threshold of ${wholePercent(threshold)}`;
}

function limited(answer, out, into) {
  if (answer === null) return "rules it neither in nor out";
  return answer ? `rules it in, above ${wholePercent(into)}` : `rules it out, below ${wholePercent(out)}`;
}

function comparedMap(about, { evidence, strength, evidence_level: level }) {
  const exclusive = about.kind === "multiclass" && !about.binary;
  const others = exclusive ? "films of the other classes" : "films without it";
  if (!evidence) return `is no stronger than in 95\u00a0% of ${others}`;
  return `is ${strength < SLIGHTLY * level ? "slightly " : ""}stronger than in 95\u00a0% of ${others}`;
}

/** The report with its answer in words as it is decided now, which the server said for the model's own thresholds. */
export function toldAgain(about, report) {
  const told = about.findings.map(({ name }) => [name, sentenceOf(about, report, name, report.heatmaps?.[name])]);
  const plain = (words) => words.replaceAll("\u00a0", " ");
  const sentences = Object.fromEntries(told.map(([name, words]) => [name, plain(words)]));
  return { ...report, summary: plain(summary(about, report)), sentences };
}

/** Instead of a map that is no stronger than in films without the finding, also where the probability is an alarm. */
export function nothing(entry, report) {
  const title = entry.title.toLowerCase();
  if (report?.positive[entry.name]) return `The map for ${title} is no stronger than in 95\u00a0% of other films.`;
  return "Nothing on this film stands out " + (entry.normal ? "as " : "for ") + title + ".";
}

/** The strength of a map in its unit, beside that of other films. */
export function evidence(map) {
  if (map.method === "random") {
    return (
      "A random map, to compare with. It knows nothing of this film: " +
      "where another map convinces no more than this one, it explains nothing."
    );
  }
  if (map.scale !== "logit") {
    return (
      "This method ranks places and has no unit. Its strongest place always gets the strongest colour, " +
      "so it cannot say how much evidence there is, or that there is none."
    );
  }
  const strength = `Strength of this map: ${logits(map.strength)} logits`;
  if (map.evidence === null) return strength + ". How much films without it show was not measured for this model.";
  return `${strength}; 95\u00a0% of films without it stay below ${logits(map.evidence_level)}.`;
}

/** A map's parts for and against, which with a constant make the logit; empty without a logit scale. */
export function sumInWords(map, about, report) {
  if (map.scale !== "logit") return "";
  const cells = map.rows.flat();
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / cells.length;
  const [pro, contra] = [1, -1].map((sign) => mean(cells.map((value) => sign * Math.max(0, sign * value))));
  const logit = about.kind === "multilabel" ? "the logit" : "its logit less the mean of the others";
  const parts = `${signed(pro)} for, ${signed(contra)} against, ${signed(map.bias)} constant`;
  const probability = percent(report.probabilities[map.finding]);
  return `Over the whole film: ${parts}. The sum is ${logit}, ${signed(map.target)} (calibrated: ${probability}).`;
}

/** Where most of what speaks for a finding lies outside the chest; else empty. */
export function outsideInWords(map) {
  if (map.scale !== "logit" || map.evidence === false || !(map.outside > 0.5)) return "";
  const [where, what] = map.chest
    ? ["outside the chest as outlined on this film", "Stomach gas, a marker or the background"]
    : [
        "near the film’s edge, outside its central 80 %; the chest could not be outlined on this film",
        "A marker or the edge itself",
      ];
  return `${wholePercent(map.outside)} of what speaks for it lies ${where}. ${what} may have moved this number.`;
}

/** How the map was made, beside the choice of its method. */
export function methodNote(map, about) {
  if (map.method === "random") return "Not an explanation: a control.";
  if (map.scale !== "logit") return "No logit scale: says where, not how much.";
  if (map.method !== "gradcam") return "In logits.";
  if (about.members) return "The mean of its members' maps, in logits, from the same passes as the probabilities.";
  return (
    "From the same pass as the probabilities. Exact for this kind of network: the average over the film, plus a " +
    "constant, is the score in logits. One logit more multiplies the odds by 2.7."
  );
}

/** The ticks of the colour scale, left to right. `most`: the value of the strongest colour. */
export function ticks(map, most, against) {
  if (map.scale !== "logit") return ["least", "most, on this map alone"];
  const last = logits(most) + " logits" + (map.ceiling ? "" : ", the most here");
  const beyond = map.rows.flat().some((value) => value < -most) ? " or less" : "";
  return [...(against ? [`−${logits(most)}${beyond}`] : []), "0", last];
}

/** What the bars mean, and for whom. */
export function howToRead(about, report) {
  return [howBarsRead(about, report), about.population].filter(Boolean).join(" ");
}

function howBarsRead(about, { positive, thresholds, limits }) {
  if (limits) return "Between the marks the model is unsure: neither answer would keep its promise there.";
  const marks = Object.values(thresholds).filter((threshold) => threshold !== null).length;
  const none = "No alarm threshold was fitted for this model, so it calls nothing positive.";
  if (about.kind === "multilabel") {
    const bars = "Each bar is the probability of one finding on films like those this model was tested on. ";
    const some = marks < Object.keys(positive).length ? ", where one is known." : ".";
    return bars + (marks ? "The mark is its alarm threshold" + some : none);
  }
  if (!about.binary) return "The bars add up to 100 %. The longest one wins.";
  const mark = "The mark is the alarm threshold, chosen on films kept apart from training.";
  return "The bars add up to 100 %. " + (marks ? mark : none);
}

/** The film's size and encoding, in one line. */
export function filmFacts({ film }, seconds, source) {
  const depth = film.bits === film.bits_stored ? `${film.bits} bit` : `${film.bits} of ${film.bits_stored} bit used`;
  const size = `${film.width} × ${film.height}`;
  const facts = [source, size, `${film.encoding}, ${depth}`, `answered in ${Math.round(1000 * seconds)} ms`];
  return facts.filter(Boolean).join(" · ");
}
