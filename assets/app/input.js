// A film comes in: chosen, dropped or pasted.

import { pause } from "./dom.js";

const fileInput = () => document.querySelector("#film-upload input[type=file]");
const carriesFiles = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");

/** Listen for files. Gradio's own input uploads them. */
export function watchFilmInput(page) {
  document.addEventListener("change", (event) => checkFile(page, event), true); // before Gradio sees the file
  document.addEventListener("paste", (event) => {
    const file = event.clipboardData?.files[0];
    if (!file) return;
    event.preventDefault();
    upload(page, file);
  });
  watchDragging(page);
  page.part("choose").addEventListener("click", () => fileInput()?.click());
  page.part("again").addEventListener("click", () => {
    page.letGo();
    page.enter("empty");
    page.part("choose").focus();
  });
}

async function upload(page, file) {
  page.enter("reading", "Reading " + file.name);
  for (let wait = 0; !fileInput() && wait < 200; wait++) await pause(50);
  const carrier = new DataTransfer();
  carrier.items.add(file);
  fileInput().files = carrier.files;
  fileInput().dispatchEvent(new Event("change", { bubbles: true }));
}

// Gradio itself would answer too large a file with a message in passing.
function checkFile(page, event) {
  const file = event.target.type === "file" && event.target.closest("#film-upload") && event.target.files[0];
  if (!file) return;
  const most = page.start.max_bytes;
  if (file.size > most) {
    event.stopImmediatePropagation();
    event.target.value = "";
    page.fail(`This file has ${Math.round(file.size / 1e6)} MB; the most that is read is ${most / 1e6} MB.`);
    return;
  }
  page.read({ name: file.name, synthetic: false }, "Reading " + file.name);
}

function watchDragging(page) {
  let depth = 0; // elements of the page that the file is over
  const change = { dragenter: 1, dragover: 0, dragleave: -1 };
  for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      if (!carriesFiles(event)) return;
      event.preventDefault();
      depth = kind === "drop" ? 0 : depth + change[kind];
      page.root.classList.toggle("dragging", depth > 0);
      if (kind === "drop" && event.dataTransfer.files[0]) upload(page, event.dataTransfer.files[0]);
    });
  }
}
