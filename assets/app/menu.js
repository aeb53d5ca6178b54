// The model menu: the models always offered, then those of the Hugging Face Hub. Entries are {name, title, hub}.

/** The menu with another entry; a known name keeps its place and title. */
export function withModel(entries, entry) {
  return entries.some(({ name }) => name === entry.name) ? entries : [...entries, entry];
}

/** The menu's two groups. */
export function grouped(entries) {
  return { own: entries.filter(({ hub }) => !hub), hub: entries.filter(({ hub }) => hub) };
}

/** The dashboard's address for a model; its first page shows the first of the menu. */
export function dashboardAddress(address, name, entries) {
  return name === entries[0].name ? address : address + "?model=" + encodeURIComponent(name);
}
