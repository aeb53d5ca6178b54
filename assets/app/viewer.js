// The page. Gradio hands this script `element`, `props`, `trigger` and `watch`; every answer of the server is one
// object in props.value, told apart by its `kind`: start, about, result, map or error.

const root = element.querySelector(".cxr");
const part = (name) => root.querySelector('[data-part="' + name + '"]');
const start = props.value;
const methods = {
  "gradcam": "Grad-CAM", "gradcam++": "Grad-CAM++", "layercam": "LayerCAM", "hirescam": "HiResCAM", "eigencam": "EigenCAM", "random": "Random map (a control)",
};
const state = { token: null, result: null, about: null, finding: null, method: "gradcam", maps: {}, shown: false, name: "", synthetic: false };

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key in node && key !== "list") node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

// --- words and numbers ---

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

// --- states of the page ---

let patience = null;

function enter(name, words = "") {
  root.dataset.state = name;
  root.setAttribute("aria-busy", String(name === "reading"));
  clearTimeout(patience);
  if (name === "reading") {
    part("error").hidden = true;
    part("reading-text").textContent = words;
    patience = setTimeout(() => fail("The server has not answered for two minutes. Please try again."), 120000);
  }
}

function letGo() {
  if (state.token) server.forget(state.token);
  Object.assign(state, { token: null, result: null, maps: {}, finding: null });
}

function fail(message) {
  letGo();
  enter("empty");
  part("error").textContent = message;
  part("error").hidden = false;
}

// --- a film comes in: chosen, dropped or pasted ---

const fileInput = () => document.querySelector("#film-upload input[type=file]");

async function hand(file) {
  enter("reading", "Reading " + file.name);
  for (let wait = 0; !fileInput() && wait < 200; wait++) await new Promise((done) => setTimeout(done, 50));
  const carrier = new DataTransfer();
  carrier.items.add(file);
  fileInput().files = carrier.files;
  fileInput().dispatchEvent(new Event("change", { bubbles: true }));
}

// Before Gradio sees the file: too large a one would only get a message in passing.
document.addEventListener("change", (event) => {
  const file = event.target.type === "file" && event.target.closest("#film-upload") && event.target.files[0];
  if (!file) return;
  if (file.size > start.max_bytes) {
    event.stopImmediatePropagation();
    event.target.value = "";
    fail("This file has " + Math.round(file.size / 1e6) + " MB; the most that is read is " + start.max_bytes / 1e6 + " MB.");
    return;
  }
  letGo();
  Object.assign(state, { name: file.name, synthetic: false });
  enter("reading", "Reading " + file.name);
}, true);
document.addEventListener("paste", (event) => {
  const file = event.clipboardData && event.clipboardData.files[0];
  if (file) { event.preventDefault(); hand(file); }
});
let dragging = 0;
const draggingFiles = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    if (!draggingFiles(event)) return;
    event.preventDefault();
    dragging = kind === "drop" ? 0 : dragging + (kind === "dragenter") - (kind === "dragleave");
    root.classList.toggle("dragging", dragging > 0);
    if (kind === "drop" && event.dataTransfer.files[0]) hand(event.dataTransfer.files[0]);
  });
}
part("choose").addEventListener("click", () => fileInput() && fileInput().click());
part("again").addEventListener("click", () => {
  letGo();
  enter("empty");
  part("choose").focus();
});

// --- the answer ---

function showResult(result) {
  Object.assign(state, { result, token: result.token, about: result.about, maps: { gradcam: result.maps }, method: "gradcam", shown: false });
  part("error").hidden = true;
  const { report } = result;
  part("stage").style.setProperty("--ratio", report.film.width / report.film.height);
  showFacts(result);
  part("summary").textContent = summary();
  part("how-to-read").textContent = howToRead();
  warn("drawn", result.about.synthetic && start.synthetic);
  warn("noted", result.about.caution, "This model’s own warning:");
  const order = [...state.about.findings].sort((a, b) => report.probabilities[b.name] - report.probabilities[a.name]);
  part("findings").classList.toggle("few", !many());
  part("findings").replaceChildren(...order.map(findingRow));
  part("method").value = "gradcam";
  const ill = order.filter((entry) => !entry.normal);
  showAbout(result.about);
  enter("result");
  const kept = ill.find((entry) => entry.name === state.finding); // the same film, read by another model
  choose((kept || ill.find((entry) => report.positive[entry.name]) || ill[0]).name);
  part("summary").focus({ preventScroll: true });
}

// What to know before believing it; nothing to say hides the place.
function warn(name, words, begin = "") {
  part(name).replaceChildren(...(begin ? [make("strong", {}, begin), " "] : []), words || "");
  part(name).hidden = !words;
}

function howToRead() {
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

function showFacts(result) {
  const { film, warnings } = result.report;
  const depth = film.bits === film.bits_stored ? film.bits + " bit" : film.bits + " of " + film.bits_stored + " bit used";
  const source = state.synthetic ? state.name + " (synthetic: drawn by a program, of nobody)" : state.name;
  const facts = [source, film.width + " × " + film.height, film.encoding + ", " + depth, "answered in " + Math.round(1000 * result.seconds) + " ms"];
  part("facts").textContent = facts.filter(Boolean).join(" · ");
  part("warnings").replaceChildren(...warnings.map((text) => make("li", {}, text)));
}

function findingRow(entry) {
  const { probabilities, positive, thresholds } = state.result.report;
  const share = probabilities[entry.name];
  const radio = make("input", { type: "radio", name: "cxr-finding", value: entry.name });
  radio.addEventListener("change", () => choose(entry.name));
  const bar = make("span", { className: "bar", "aria-hidden": "true" }, make("span", { className: "fill", style: "width:" + 100 * share + "%" }));
  if (thresholds[entry.name] !== null) bar.append(make("span", { className: "mark", style: "left:" + 100 * thresholds[entry.name] + "%" }));
  const row = make("label", { className: "finding" }, radio,
    make("span", { className: "name" }, entry.title), make("span", { className: "verdict" }, verdict(entry.name, many())),
    make("span", { className: "probability" }, percent(share)), bar, make("span", { className: "about-finding" }, entry.description));
  Object.assign(row.dataset, { finding: entry.name, probability: share, positive: positive[entry.name], normal: entry.normal });
  return row;
}

function choose(name) {
  state.finding = name;
  state.shown = false;
  for (const row of part("findings").children) {
    const mine = row.dataset.finding === name;
    row.classList.toggle("chosen", mine);
    row.querySelector("input").checked = mine;
  }
  draw();
}

// The map of the chosen finding by the chosen method: drawn at once if it is here, else asked for.
function draw() {
  const map = (state.maps[state.method] || {})[state.finding];
  part("stage").setAttribute("aria-busy", String(!map));
  part("method-note").textContent = map ? methodNote(map) : "Asking for this map.";
  if (!map) {
    part("evidence").textContent = "";
    part("quiet").hidden = true;
    trigger("ask_method", { token: state.token, model: state.about.name, finding: state.finding, method: state.method });
    return;
  }
  const title = finding(state.finding).title;
  const none = map.evidence === false && !state.shown;
  const canvas = part("canvas");
  const image = part("image");
  const shrink = Math.max(1, Math.max(image.naturalWidth, image.naturalHeight) / 512); // plenty for so few cells, and quick
  const [width, height] = [image.naturalWidth, image.naturalHeight].map((side) => Math.round(side / shrink));
  Object.assign(canvas, { width, height });
  const against = blue(map);
  if (!none) canvas.getContext("2d").putImageData(colour(map, width, height, top(map), against), 0, 0);
  canvas.setAttribute("aria-label", none ? "No heatmap: no more evidence than in films without " + title : "Heatmap for " + title);
  part("quiet").hidden = !none;
  part("quiet-text").textContent = "No more evidence for " + title + " than in films without it.";
  part("evidence").textContent = evidence(map, title);
  legend(map, against);
}

function methodNote(map) {
  if (map.method === "random") return "Not an explanation: a control.";
  if (map.scale !== "logit") return "No logit scale: says where, not how much.";
  if (map.method !== "gradcam") return "In logits.";
  if (state.about.members) return "The mean of its members' maps, in logits, from the same passes as the probabilities.";
  return "From the same pass as the probabilities. Exact for this kind of network: the average over the film, plus a constant, is the score in logits. One logit more multiplies the odds by 2.7.";
}

const blue = (map) => part("against").checked && map.scale === "logit";

function top(map) {
  return map.ceiling || Math.max(1e-6, ...map.rows.flat());
}

// A ramp as it looks over the grey of a film.
function swatch(direction, colours) {
  const stops = Array.from({ length: 18 }, (_, at) => colours[at * 15]);
  const css = stops.map((word) => "rgb(" + [word & 255, (word >> 8) & 255, (word >> 16) & 255].join(" ") + " / " + (word >>> 24) / 255 + ")");
  return "linear-gradient(to " + direction + ", " + css.join(", ") + ") #8a8f94";
}

function legend(map, against) {
  const unit = map.scale === "logit";
  part("legend").classList.toggle("both", against);
  root.querySelector(".against + .ramp").style.background = swatch("right", FOR_RAMP);
  root.querySelector(".ramp.against").style.background = swatch("left", AGAINST_RAMP);
  part("against").disabled = !unit;
  const most = logits(top(map));
  const words = unit ? [...(against ? ["−" + most] : []), "0", most + " logits" + (map.ceiling ? " or more" : ", the most here")] : ["least", "most, on this map alone"];
  part("ticks").replaceChildren(...words.map((word) => make("span", {}, word)));
}

part("method").addEventListener("change", (event) => { state.method = event.target.value; state.shown = false; draw(); });
part("against").addEventListener("change", draw);
part("show-anyway").addEventListener("click", () => { state.shown = true; draw(); part("against").focus(); });
part("opacity").addEventListener("input", (event) => root.style.setProperty("--opacity", event.target.value / 100));
part("sweep").addEventListener("input", (event) => root.style.setProperty("--sweep", event.target.value / 10 + "%"));
part("views").addEventListener("change", (event) => { part("stage").dataset.view = event.target.value; });

// --- which model, and how good ---

const known = (estimate) => estimate && estimate.value !== null && estimate.value !== undefined;
const rate = (value) => (value !== null && typeof value === "object" ? value.value : value);
const share = (value) => (typeof rate(value) === "number" ? wholePercent(rate(value)) : "–");

function interval(estimate) {
  if (!known(estimate)) return "not known";
  const range = typeof estimate.low === "number" ? " (" + estimate.low.toFixed(3) + "–" + estimate.high.toFixed(3) + ")" : "";
  return estimate.value.toFixed(3) + range;
}

// What the model is judged by: the scores on its test films, or on whatever it was scored on last.
function headline(about) {
  const scores = about.evaluations.find((entry) => entry.split.includes("test")) || about.evaluations.at(-1);
  if (!scores && about.members) return "How good its members are together was not measured: only each member carries scores of its own.";
  if (!scores) return "How good it is was not measured: the model carries no scores.";
  const ill = about.findings.filter((entry) => !entry.normal);
  const auroc = ill.length === 1 ? (scores.findings[ill[0].name] || {}).auroc : (scores.macro || {}).auroc;
  const what = ill.length === 1 ? "AUROC for " + ill[0].title.toLowerCase() : "Mean AUROC over its findings";
  return what + " " + interval(auroc) + ", on " + films(scores) + " it never saw in training (" + origin(scores) + ").";
}

// Which films those were: only a source's own test list is official, and no score on another compares with it.
function origin(scores) {
  const kinds = { official: "the official " + scores.split + " films of " + scores.dataset, own: scores.dataset + ", patients held out by this project" };
  return kinds[scores.split_origin] || scores.dataset + ", " + scores.split;
}

const films = (scores) => count(scores.n) + " films" + (scores.n_patients ? " of " + count(scores.n_patients) + " patients" : "");

function showAbout(about) {
  state.about = about;
  part("model").value = about.name;
  part("headline").textContent = headline(about);
  warn("about-drawn", about.synthetic && start.synthetic);
  warn("about-noted", about.note);
  const ill = about.findings.filter((entry) => !entry.normal).map((entry) => entry.title.toLowerCase());
  const limits = "It knows only " + listed(ill) + ". Whatever else a film shows, it cannot tell.";
  const facts = make("dl", {}, ...about.facts.flatMap(([term, text]) => [make("dt", {}, term), make("dd", {}, text)]));
  const tables = about.evaluations.map((scores) => scoreTable(about, scores));
  const words = "AUROC: how often a film with the finding gets a higher probability than one without it; 0.5 is chance. Found: share of films with the finding that are above the alarm threshold. Cleared: share of films without it that are below.";
  if (tables.length) tables.push(make("p", { className: "muted small" }, words));
  part("about").replaceChildren(make("p", { className: "headline" }, limits), facts, ...(tables.length ? [make("details", {}, make("summary", {}, "All scores"), ...tables)] : []));
}

function scoreTable(about, scores) {
  const normal = about.binary ? about.findings.filter((entry) => entry.normal).map((entry) => entry.name) : [];
  const titles = Object.fromEntries(about.findings.map((entry) => [entry.name, entry.title]));
  const rows = Object.entries(scores.findings).filter(([name]) => !normal.includes(name)).map(([name, row]) =>
    make("tr", {}, make("th", { scope: "row" }, titles[name] || name),
      ...[count(row.n_pos), interval(row.auroc), share(row.sensitivity), share(row.specificity)].map((text) => make("td", {}, text))));
  const head = ["Finding", "Films with it", "AUROC (95 % interval)", "Found", "Cleared"].map((word) => make("th", { scope: "col" }, word));
  return make("div", { className: "scores" },
    make("p", {}, make("strong", {}, scores.dataset), " ", make("span", { className: "badge" }, scores.split), " " + films(scores)),
    make("div", { className: "scroll" }, make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows))));
}

part("model").addEventListener("change", (event) => {
  if (state.token) enter("reading", "Reading the film with " + event.target.selectedOptions[0].textContent);
  trigger("ask_model", { model: event.target.value, token: state.token || "" });
  state.token = null;
});

// --- what can be taken home ---

function save(name, blob) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

const stem = () => state.name.replace(/[.][^.]*$/, "") || "film";

part("save-json").addEventListener("click", () => {
  const { film, ...rest } = state.result.report;
  const text = JSON.stringify({ film: { name: state.name, synthetic: state.synthetic, ...film }, ...rest }, null, 2);
  save(stem() + "-" + state.about.name + ".json", new Blob([text], { type: "application/json" }));
});

// The overlay at the film's own size, with what it is written into its lower edge.
part("save-png").addEventListener("click", async () => {
  const map = (state.maps[state.method] || {})[state.finding];
  if (!map) return;
  const { film, probabilities } = state.result.report;
  const none = map.evidence === false && !state.shown;
  const words = finding(state.finding).title + " " + percent(probabilities[state.finding]) + (none ? ", no more evidence than in films without it" : "");
  const model = state.about.name + (state.about.synthetic ? " (learned from synthetic films)" : "");
  const lines = [[words, methods[state.method], model].join(", "), (state.synthetic ? "Synthetic film. " : "") + start.note];
  const name = [stem(), state.finding.replaceAll(" ", "_"), state.method].join("-") + ".png";
  const picture = make("img", { src: (await server.large_picture(state.token)) || part("image").src });
  await picture.decode();
  const sheet = make("canvas", { width: film.width, height: film.height });
  const pen = sheet.getContext("2d");
  pen.drawImage(picture, 0, 0, film.width, film.height);
  if (!none) {
    const layer = make("canvas", { width: film.width, height: film.height });
    layer.getContext("2d").putImageData(colour(map, film.width, film.height, top(map), blue(map)), 0, 0);
    pen.globalAlpha = part("opacity").value / 100;
    pen.drawImage(layer, 0, 0);
    pen.globalAlpha = 1;
  }
  const size = Math.max(9, Math.round(film.width / 60));
  pen.font = size + "px system-ui, sans-serif";
  pen.fillStyle = "rgba(0, 0, 0, 0.6)";
  pen.fillRect(0, film.height - size * 3.2, film.width, size * 3.2);
  pen.fillStyle = "#fff";
  lines.forEach((line, at) => pen.fillText(line, size * 0.7, film.height - size * (1.9 - 1.25 * at), film.width - 1.4 * size));
  sheet.toBlob((blob) => save(name, blob));
});

// Gradio's own page for programs; its link sits in a footer that this page replaces.
part("api").addEventListener("click", () => document.querySelector("footer .show-api")?.click());

// --- begin ---

// Gradio's event stream warns of this at the end of every answer. It means nothing, and would bury what does.
const warning = console.warn;
console.warn = (...words) => words[0] === "Method not implemented." || warning(...words);

part("model").replaceChildren(...start.models.map(({ name, title }) => make("option", { value: name }, title)));
part("method").replaceChildren(...Object.entries(methods).map(([value, title]) => make("option", { value }, title)));
part("examples").replaceChildren(...start.examples.map((example) => {
  const button = make("button", { type: "button", className: "example" }, make("img", { src: example.thumbnail, alt: "" }), make("span", {}, example.title), make("span", { className: "badge" }, "synthetic"));
  button.dataset.file = example.file;
  button.addEventListener("click", () => {
    letGo();
    Object.assign(state, { name: example.title, synthetic: true });
    enter("reading", "Reading the example");
    trigger("ask_example", { file: example.file, model: part("model").value });
  });
  return button;
}));

const answers = {
  start: () => {},
  about: (answer) => showAbout(answer.about),
  result: async (answer) => {
    const picture = await server.picture(answer.token);
    if (!picture) return fail("The film was no longer there when the page asked for it. Please open it again.");
    for (const name of ["plain", "image"]) part(name).src = picture;
    await part("image").decode();
    showResult(answer);
  },
  map: (answer) => {
    const { token, method, finding } = answer.asked;
    if (token !== state.token) return;
    (state.maps[method] ||= {})[finding] = answer.map;
    if (method === state.method && finding === state.finding) draw();
  },
  error: (answer) => {
    if (!answer.asked) return fail(answer.message);
    if (answer.asked.method !== state.method) return;
    state.method = part("method").value = "gradcam";
    draw();
    part("method-note").textContent = answer.message;
  },
};
watch("value", () => answers[props.value.kind](props.value));
