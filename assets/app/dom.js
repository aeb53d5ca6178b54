// Elements of the page.

/**
 * A new element. Attributes that are properties of the element are set as such.
 * @returns {HTMLElement}
 */
export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key in node && key !== "list") node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

export const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
