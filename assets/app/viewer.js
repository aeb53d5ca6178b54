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

// --- states of the page ---

let patience = null;

function enter(name, words = "") {
  root.dataset.state = name;
  root.setAttribute("aria-busy", String(name === "reading"));
  part("model").disabled = name === "reading"; // the film is on its way to one model
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
  part("error").textContent = sentence(message);
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

start.models.forEach(offer);
part("hub").hidden = !start.hub;
part("dashboard").hidden = !start.dashboard;
part("method").replaceChildren(...Object.entries(methods).map(([value, title]) => make("option", { value }, title)));

const answers = {
  start: () => {},
  about: (answer) => {
    (answer.models || []).forEach(offer);
    if (answer.about.name === part("model").value) showAbout(answer.about); // else another was chosen meanwhile
  },
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
    if ("kept" in answer && state.about) return stay(answer);
    if (!answer.asked) return fail(answer.message);
    if (answer.asked.method !== state.method) return;
    state.method = part("method").value = "gradcam";
    draw();
    part("method-note").textContent = answer.message;
  },
};
watch("value", () => answers[props.value.kind](props.value));
