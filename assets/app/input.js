// A film comes in: chosen, dropped or pasted. Several at once, a folder or a zip go to the list of many films.

import { chosenFiles, droppedFiles, droppedList, isList } from "./collect.js";
import { pause } from "./dom.js";

const fileInput = () => document.querySelector("#film-upload input[type=file]");
const carriesFiles = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");

let listed = false; // whether the film on its way to Gradio's input is one of a list

/** Listen for files. Gradio's own input uploads one film; `takeMany` gets several, {path, file}[] or its promise. */
export function watchFilmInput(page, takeMany) {
  document.addEventListener("change", (event) => checkFile(page, takeMany, event), true); // before Gradio sees it
  document.addEventListener("paste", (event) => {
    const files = event.clipboardData?.files;
    if (!files?.length) return;
    event.preventDefault();
    if (page.root.dataset.mode === "many" || isList(files)) takeMany(chosenFiles(files));
    else if (page.root.dataset.mode === "film") upload(page, files[0]);
  });
  watchDragging(page, takeMany);
  page.part("choose").addEventListener("click", () => fileInput()?.click());
  page.part("again").addEventListener("click", () => {
    page.letGo();
    page.root.toggleAttribute("data-listed", false);
    page.enter("empty");
    page.part("choose").focus();
  });
}

/** Read a film in the viewer, as one of a list. */
export async function uploadListed(page, file) {
  await upload(page, file, true);
}

async function upload(page, file, ofList = false) {
  page.enter("reading", "Reading " + file.name);
  for (let wait = 0; !fileInput() && wait < 200; wait++) await pause(50);
  listed = ofList;
  const carrier = new DataTransfer();
  carrier.items.add(file);
  fileInput().files = carrier.files;
  fileInput().dispatchEvent(new Event("change", { bubbles: true }));
}

// Gradio itself would answer too large a file with a message in passing.
function checkFile(page, takeMany, event) {
  const file = event.target.type === "file" && event.target.closest("#film-upload") && event.target.files[0];
  if (!file) return;
  const ofList = listed;
  listed = false;
  if (isList(event.target.files)) {
    event.stopImmediatePropagation();
    takeMany(chosenFiles(event.target.files));
    event.target.value = "";
    return;
  }
  const most = page.start.max_bytes;
  if (file.size > most) {
    event.stopImmediatePropagation();
    event.target.value = "";
    page.fail(`This file has ${Math.round(file.size / 1e6)} MB; the most that is read is ${most / 1e6} MB.`);
    return;
  }
  page.read({ name: file.name, synthetic: false, listed: ofList }, "Reading " + file.name);
}

function watchDragging(page, takeMany) {
  let depth = 0; // elements of the page that the file is over
  const change = { dragenter: 1, dragover: 0, dragleave: -1 };
  for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      if (!carriesFiles(event)) return;
      event.preventDefault();
      depth = kind === "drop" ? 0 : depth + change[kind];
      page.root.classList.toggle("dragging", depth > 0);
      if (kind === "drop") drop(page, takeMany, event.dataTransfer);
    });
  }
}

function drop(page, takeMany, transfer) {
  if (page.root.dataset.mode === "many" || droppedList(transfer)) takeMany(droppedFiles(transfer));
  else if (page.root.dataset.mode === "film" && transfer.files[0]) upload(page, transfer.files[0]);
}
