// What the page is for at the moment: one film, many films, or learning to read. The address keeps it after "#".

export const MODES = ["film", "many", "learn"];

/** The mode that an address's fragment names ("#learn", "#learn=set"), else one film. */
export function modeOf(fragment) {
  const [name] = fragment.replace(/^#/, "").split("=");
  return MODES.includes(name) ? name : "film";
}

/** Follow the buttons and the address; the page starts in the mode that the address names. */
export function watchModes(page) {
  const buttons = [...page.part("modes").querySelectorAll("button")];
  const show = () => page.show(modeOf(location.hash));
  buttons.forEach((button) => button.addEventListener("click", () => (location.hash = button.dataset.mode)));
  window.addEventListener("hashchange", show);
  show();
}
