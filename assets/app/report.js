// The report of the film on one page: saved as a file, or printed.

import { make } from "./dom.js";
import { sentence } from "./words.js";

export function offerReport(page) {
  const form = page.part("report-form");
  page.part("save-report").addEventListener("click", () => {
    form.hidden = !form.hidden;
    if (!form.hidden) page.part("report-title").focus();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    withReport(page, (html) => save(page, html));
  });
  page.part("report-print").addEventListener("click", () => withReport(page, print));
}

async function withReport(page, use) {
  const { token, about, result, film, finding } = page;
  const status = page.part("report-status");
  status.textContent = "Writing the report: the film is read ten times, to say how far each number moves.";
  const answer = await page.call("film_report", {
    token,
    model: about.name,
    finding,
    title: page.part("report-title").value,
    note: page.part("report-note").value,
    synthetic: Boolean(film.synthetic),
    corrected: film.corrected || "",
    overruled: Boolean(result.report.gate.overruled),
    rule: result.report.decided_by?.rule || "",
  });
  if (token !== page.token) return;
  status.textContent = answer.kind === "error" ? sentence(answer.message) : "";
  if (answer.kind === "report") use(answer.html);
}

function save(page, html) {
  const href = URL.createObjectURL(new Blob([html], { type: "text/html" }));
  const name = page.film.name.replace(/[.][^.]*$/, "") || "film";
  make("a", { href, download: `${name}-report.html` }).click();
  setTimeout(() => URL.revokeObjectURL(href), 10000);
}

// In a frame of its own, so that the page's menus stay out of the print.
function print(html) {
  document.querySelector("#cxr-print")?.remove();
  const frame = make("iframe", { id: "cxr-print", title: "Report to print", "aria-hidden": "true", tabIndex: -1 });
  Object.assign(frame.style, { position: "fixed", width: "0", height: "0", border: "0" });
  frame.addEventListener("load", () => frame.contentWindow.print());
  frame.srcdoc = html;
  document.body.append(frame);
}
