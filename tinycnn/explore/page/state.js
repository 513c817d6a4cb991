// What is selected, hidden and how large, kept in the address, so that a teacher can send or bookmark exactly this view.

/** What makes another place of the page: "Back" leads to the one before. Whatever else changes belongs to the place. */
const PLACES = new Set(["view", "image", "label", "mode", "layer", "way", "tour", "step"]);

export const DEFAULTS = {
  view: "inside", image: "", label: "", mode: "prediction", layer: "", at: "", way: "forward", part: "",
  teacher: "", theme: "", hide: "", predict: "", weight: "", pixel: "", column: "", tape: "", tour: "", step: "",
  trained: "", compare: "", seek: "",
};

/** A store of texts by name. Those that differ from their defaults stand in the address behind the "#". */
export class State {
  constructor() {
    this.values = { ...DEFAULTS };
    this.listeners = [];
    this.read();
    addEventListener("hashchange", () => {
      const before = { ...this.values };
      this.read();
      if (!this.values.image && before.image) { // somebody has typed an address that names none: the image stays
        this.values.image = before.image;
        this.write("replaceState");
      }
      this.tell(Object.keys(DEFAULTS).filter((name) => before[name] !== this.values[name]), true);
    });
    // Maps are painted in the theme's colours, so they are painted anew when the system changes from day to night.
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.tell(["theme"]));
  }

  read() {
    const given = new URLSearchParams(location.hash.slice(1));
    for (const name of Object.keys(DEFAULTS)) this.values[name] = given.get(name) ?? DEFAULTS[name];
  }

  get(name) {
    return this.values[name];
  }

  /** Return whether a part of the page is hidden; teacher.js has their names. */
  hides(part) {
    return this.values.hide.split(",").includes(part);
  }

  /**
   * Set some values, write the address and tell the listeners which have changed.
   *
   * A new place gets an entry of its own in the browser's history, unless it is only the way to one (`isOnTheWay`).
   */
  set(changes, isOnTheWay = false) {
    const changed = Object.keys(changes).filter((name) => this.values[name] !== String(changes[name]));
    if (!changed.length) return;
    for (const name of changed) this.values[name] = String(changes[name]);
    this.write(!isOnTheWay && changed.some((name) => PLACES.has(name)) ? "pushState" : "replaceState");
    this.tell(changed);
  }

  /** Write all values into the address. */
  write(how) {
    const shown = Object.entries(this.values).filter(([name, value]) => value !== DEFAULTS[name]);
    const text = new URLSearchParams(shown).toString();
    history[how](null, "", text ? `#${text}` : location.pathname);
  }

  tell(changed, isGiven = false) {
    if (changed.length) for (const listener of this.listeners) listener(new Set(changed), isGiven);
  }

  /**
   * Call listener(names, isGiven) whenever values change; `isGiven` says that the address has changed by itself: somebody
   * went back, or typed it.
   */
  watch(listener) {
    this.listeners.push(listener);
  }
}
