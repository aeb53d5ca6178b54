// Facts and reports as the server sends them, cut down to what the words are made of.

export const finding = (name, more = {}) => ({ name, title: name.replace("_", " "), normal: false, ...more });

export const chest = {
  kind: "multilabel",
  binary: false,
  synthetic: false,
  population:
    "It learned from films of adults of one hospital. " +
    "It has seen no other patients, and its percentages are not valid for them.",
  members: 0,
  hub: null,
  evaluations: [],
  decisions: [],
  frequencies: {},
  findings: ["Effusion", "Nodule", "Hernia", "Mass"].map((name) => finding(name)),
};

export const pneumonia = {
  ...chest,
  kind: "multiclass",
  binary: true,
  findings: [finding("Normal", { normal: true }), finding("Pneumonia")],
};

export const three = {
  ...chest,
  kind: "multiclass",
  findings: [finding("Normal", { normal: true }), finding("Viral pneumonia"), finding("Bacterial pneumonia")],
};

/** A report from name -> [probability, positive, threshold]. */
export function report(rows) {
  const column = (at) => Object.fromEntries(Object.entries(rows).map(([name, row]) => [name, row[at]]));
  return { probabilities: column(0), positive: column(1), thresholds: column(2) };
}
