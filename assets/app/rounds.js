// A round of reading: its address, its scale and its time. No page, no server.

/** The five steps of confidence, from 0 to 1. */
export const STEPS = [["Absent", 0], ["Unlikely", 0.25], ["Unsure", 0.5], ["Likely", 0.75], ["Present", 1]];

/** The address of a set in a page's fragment ("#learn=phantoms-20-7"); empty without one. */
export function addressIn(fragment) {
  const [, address] = /^#?learn=(.*)$/.exec(fragment) || ["", ""];
  try {
    return decodeURIComponent(address);
  } catch {
    return address;
  }
}

/** The address of a round of phantoms, and its parts; null for another address. */
export const phantoms = (count, seed) => `phantoms-${count}-${seed}`;
export function phantomsOf(address) {
  const found = /^phantoms-(\d+)-(\d+)$/.exec(address);
  return found && { count: Number(found[1]), seed: Number(found[2]) };
}

/** A stopwatch that counts only while it runs. `now`: a clock in milliseconds. */
export class Stopwatch {
  constructor(now = () => performance.now()) {
    Object.assign(this, { now, counted: 0, since: null });
  }

  start() {
    Object.assign(this, { counted: 0, since: this.now() });
  }

  pause() {
    if (this.since !== null) this.counted += this.now() - this.since;
    this.since = null;
  }

  go() {
    this.since ??= this.now();
  }

  /** Stop, and the seconds counted. */
  stop() {
    this.pause();
    return this.counted / 1000;
  }
}
