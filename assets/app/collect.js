// What a visitor drops or chooses, as a list of films: several files, folders, zip archives, labels beside them.

import { readZip } from "./zip.js";
import { count } from "./words.js";

const MOST_FILES = 20_000; // in a folder, before it is given up
const IGNORED = ["__MACOSX", "Thumbs.db", "desktop.ini"];
const OUTSIDE = "its path leads out of the archive";

/** Whether these files are no single film: several, or an archive. */
export const isList = (files) => files.length > 1 || (files.length === 1 && isZip(files[0].name));

/** Whether something dropped holds several films: several files, a folder or an archive. */
export function droppedList(transfer) {
  const folder = [...(transfer.items || [])].some((item) => item.webkitGetAsEntry?.()?.isDirectory);
  return folder || isList(transfer.files);
}

/**
 * What was dropped, with the files of its folders. To be called within the event, whose content is gone after it.
 * @returns {Promise<{path, file}[]>}
 */
export async function droppedFiles(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return chosenFiles(transfer.files);
  const files = [];
  for (const entry of entries) await walk(entry, files);
  return files;
}

/** Chosen files, with their paths below a chosen folder. */
export const chosenFiles = (files) => [...files].map((file) => ({ path: file.webkitRelativePath || file.name, file }));

async function walk(entry, files) {
  if (hidden(entry.fullPath)) return;
  if (files.length > MOST_FILES) {
    throw new Error(`This folder holds more than ${count(MOST_FILES)} files; choose a part of it.`);
  }
  if (entry.isFile) {
    const file = await new Promise((done, failed) => entry.file(done, failed));
    files.push({ path: entry.fullPath.replace(/^\//, ""), file });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!some.length) return;
    for (const one of some) await walk(one, files);
  }
}

/**
 * The films among files and in archives, the labels beside them, and what is neither.
 * @param files {path, file}[]
 * `open()` gives a promise of a File or of bytes.
 * @returns {Promise<{films: {path, size, open}[], labels: {name, open} | null, skipped: {path, why}[]}>}
 */
export async function collect(files, limits) {
  const [entries, damaged] = [[], []];
  for (const { path, file } of files) {
    if (!isZip(path)) entries.push({ path, size: file.size, why: "", open: async () => file });
    else {
      try {
        entries.push(...(await readZip(file, limits)).map((entry) => within(path, entry)));
      } catch (error) {
        if (files.length === 1) throw error;
        damaged.push({ path, why: error.message });
      }
    }
  }
  const list = sorted(entries, limits);
  list.skipped.unshift(...damaged);
  if (list.films.length > limits.films) {
    const [films, most] = [list.films.length, limits.films].map((number) => count(number));
    throw new Error(`These are ${films} films, and the most that are read at once is ${most}; choose a part of them.`);
  }
  if (!list.films.length && !list.labels) throw new Error("There is no film among these files.");
  return list;
}

function within(archive, entry) {
  const outside = /^([\\/]|[A-Za-z]:)/.test(entry.path) || entry.path.split(/[\\/]/).includes("..");
  return { ...entry, path: `${archive}/${entry.path}`, why: outside ? OUTSIDE : entry.why };
}

/** Entries as films, a label file and the rest; hidden files are passed over. */
export function sorted(entries, { suffixes, film_bytes: most }) {
  const list = { films: [], labels: null, skipped: [] };
  for (const entry of entries) {
    const { path, size, why } = entry;
    if (why === OUTSIDE) list.skipped.push({ path, why });
    else if (hidden(path)) continue;
    else if (why) list.skipped.push({ path, why });
    else if (isLabels(path) && !list.labels) list.labels = { name: baseName(path), open: entry.open };
    else if (isLabels(path)) list.skipped.push({ path, why: `a second table beside ${list.labels.name}` });
    else if (isZip(path)) list.skipped.push({ path, why: "an archive within an archive" });
    else if (!isFilm(path, suffixes)) list.skipped.push({ path, why: "not a film by its name" });
    else if (size > most) list.skipped.push({ path, why: `larger than ${most / 1e6} MB, the most that is read` });
    else list.films.push(entry);
  }
  return list;
}

export const baseName = (path) => path.split(/[\\/]/).at(-1);
export const isLabels = (path) => /\.csv(\.gz)?$/i.test(path);
const isZip = (path) => /\.zip$/i.test(path);
const hidden = (path) => path.split(/[\\/]/).some((part) => /^\.[^.]/.test(part) || IGNORED.includes(part));

/** By the suffix; a DICOM may have none, or be called by numbers with dots. */
function isFilm(path, suffixes) {
  const [suffix] = /\.\w*$/.exec(baseName(path)) || [""];
  return suffixes.includes(suffix.toLowerCase()) || !/[a-z]/i.test(suffix);
}
