// Which model answers, how good it is, and others from the Hugging Face Hub.

const known = (estimate) => estimate && typeof estimate.value === "number";
const rate = (value) => (value !== null && typeof value === "object" ? value.value : value);
const share = (value) => (typeof rate(value) === "number" ? wholePercent(rate(value)) : "–");

function interval(estimate) {
  if (!known(estimate)) return "not known";
  const range = typeof estimate.low === "number" && typeof estimate.high === "number" ? " (" + estimate.low.toFixed(3) + "–" + estimate.high.toFixed(3) + ")" : "";
  return estimate.value.toFixed(3) + range;
}

// What the model is judged by: the scores on its test films, or on whatever it was scored on last.
function headline(about) {
  const scores = about.evaluations.find((entry) => String(entry.split).includes("test")) || about.evaluations.at(-1);
  if (!scores && about.members) return "How good its members are together was not measured: only each member carries scores of its own.";
  if (!scores) return "How good it is was not measured: the model carries no scores.";
  const ill = about.findings.filter((entry) => !entry.normal);
  const auroc = ill.length === 1 ? (scores.findings[ill[0].name] || {}).auroc : (scores.macro || {}).auroc;
  const what = ill.length === 1 ? "AUROC for " + ill[0].title.toLowerCase() : "Mean AUROC over its findings";
  const whose = about.hub ? " These are its repository’s own numbers; nothing here measured it again." : "";
  return what + " " + interval(auroc) + ", on " + films(scores) + " it never saw in training (" + origin(scores, about.hub) + ")." + whose;
}

// Which films those were: only a source's own test list is official, and no score on another compares with it.
function origin(scores, hub) {
  const kinds = { official: "the official " + scores.split + " films of " + scores.dataset, own: scores.dataset + ", patients held out by " + (hub ? "its makers" : "this project") };
  return kinds[scores.split_origin] || scores.dataset + ", " + scores.split;
}

const films = (scores) => count(scores.n) + " films" + (scores.n_patients ? " of " + count(scores.n_patients) + " patients" : "");

function showAbout(about) {
  state.about = about;
  part("model").value = about.name;
  lookForNewer();
  if (start.dashboard) {
    const deeper = about.name === start.models[0].name ? "" : "?model=" + encodeURIComponent(about.name);
    part("dashboard").querySelector("a").href = start.dashboard + deeper;
  }
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

function readWith(name) {
  tell("");
  part("model").value = name;
  if (state.token) enter("reading", "Reading the film with " + part("model").selectedOptions[0].textContent);
  trigger("ask_model", { model: name, token: state.token || "" });
  state.token = null;
}

part("model").addEventListener("change", (event) => readWith(event.target.value));

// A model that cannot answer leaves the film, and the one before it, where they were.
function stay({ kept, message }) {
  state.token = kept || null;
  part("model").value = state.about.name;
  enter(state.result && kept ? "result" : "empty");
  tell(message);
}

// The menu: what is always offered, then what came from the Hub; another model joins it on this page alone.
function offer({ name, title, hub }) {
  if ([...part("model").options].some((option) => option.value === name)) return;
  let place = part("model");
  if (hub) {
    place = place.querySelector("optgroup") || place.appendChild(make("optgroup", { label: "From the Hugging Face Hub" }));
  }
  place.append(make("option", { value: name }, title));
}

// --- models on the Hub ---

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

// What happens, or went wrong, beside the field.
function tell(words, busy = false) {
  part("hub-said").replaceChildren(...(busy ? [make("span", { className: "spinner", "aria-hidden": "true" })] : []), make("span", {}, sentence(words)));
  part("hub-said").classList.toggle("busy", busy);
  part("hub-said").classList.toggle("fault", !busy);
  part("hub-said").hidden = !words;
}

// The film, the answer and the present model stay until the other one is here.
async function openFromHub(reference, newest = false) {
  part("hub-open").disabled = true;
  tell("Fetching " + reference + " from the Hugging Face Hub. This page goes on with the model it has.", true);
  let answer = { kind: "fetching" };
  try {
    while (answer.kind === "fetching") {
      answer = await server.open_hub({ reference, newest });
      if (answer.kind === "fetching") await pause(500);
    }
  } catch {
    answer = { kind: "error", message: "The server did not answer. Please try again." };
  }
  while (root.dataset.state === "reading") await pause(100);
  part("hub-open").disabled = false;
  if (answer.kind === "error") return tell(answer.message);
  tell("");
  part("hub-reference").value = "";
  part("hub").open = false;
  offer(answer.model);
  if (!state.token) part("model").focus();
  readWith(answer.model.name);
}

part("hub-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const reference = part("hub-reference").value.trim();
  if (reference && !part("hub-open").disabled) openFromHub(reference);
});
part("hub").addEventListener("toggle", () => part("hub").open && part("hub-reference").focus());

// A branch that has moved is offered and never opened unasked; the server asks the Hub every few minutes at most.
async function lookForNewer() {
  const { name, hub } = state.about;
  const found = hub && (await server.newer(name).catch(() => null));
  if (state.about.name !== name) return;
  part("newer").hidden = !found;
  if (!found) return;
  const button = make("button", { type: "button", className: "link" }, "Open it");
  button.addEventListener("click", () => { part("newer").hidden = true; openFromHub(found.reference, true); });
  part("newer").replaceChildren("A newer revision of " + found.repo + " is on the Hub (" + found.revision + "). ", button);
}
setInterval(() => state.about && !document.hidden && lookForNewer(), 300000);
