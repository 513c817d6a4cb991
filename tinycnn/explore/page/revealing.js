// Bring what a tour or an address speaks of into view, below the tour's text, which stays at the top of the window.

/** How often it is looked whether everything is in its place, in milliseconds; layers and measured slopes come late. */
const PERIOD = 60;
/** After so many looks in a row at which it was, it is; and after so many in all nobody waits any more. */
const STEADY = 5;
const MOST = 250;
/** The room that is left around what is shown, in pixels. */
const ROOM = 8;
/** What a reader does who wants to be somewhere else. */
const MOVES = ["wheel", "touchmove", "pointerdown", "keydown"];

/** What an address can ask to be brought into view when it is opened, the most important first. */
export const SOUGHT = {
  number: [".panel output.value", ".panel .error"],
  gradient: [".panel output.value", ".panel .error, .panel > .slope p"],
  weights: [".weights output.value", ".weights .error, .weights .slope p"],
};

export class Revealing {
  /** @param box the tour's text @param main what holds all that it can speak of */
  constructor(box, main) {
    Object.assign(this, { box, main, run: 0 });
    // Whatever else is scrolled to, such as a control that gets the focus, is not put under the text either.
    new ResizeObserver(() => {
      document.documentElement.style.scrollPaddingTop = `${this.covered()}px`;
    }).observe(box);
    for (const kind of MOVES) addEventListener(kind, () => this.end(), { passive: true, capture: true });
  }

  /** Return how much of the window's top the text can cover. */
  covered() {
    return this.box.hidden || getComputedStyle(this.box).position === "static" ? 0 : this.box.offsetHeight + ROOM;
  }

  /** Stop moving the page. */
  end() {
    this.run += 1;
  }

  /** Move the page until as many of the first of these elements as fit are in view, and stay there. */
  async begin(selectors) {
    this.end();
    const { run } = this;
    for (let look = 0, steady = 0; look < MOST && steady < STEADY; look += 1) {
      await new Promise((resolve) => { setTimeout(resolve, PERIOD); });
      if (run !== this.run) return;
      const found = selectors.map((selector) => this.main.querySelector(selector)).filter((one) => one?.checkVisibility());
      const isThere = found.length === selectors.length && !this.main.hasAttribute("aria-busy");
      steady = found.length && this.move(found) && isThere ? steady + 1 : 0;
    }
  }

  /** Move the page, and return whether it had been in its place. */
  move(elements) {
    const first = this.covered() + ROOM;
    const room = innerHeight - ROOM - first;
    let [top, bottom] = [Infinity, -Infinity];
    for (const element of elements) {
      const place = element.getBoundingClientRect();
      const [higher, lower] = [Math.min(top, place.top), Math.max(bottom, place.bottom)];
      if (bottom > top && lower - higher > room) break;
      [top, bottom] = [higher, lower];
    }
    const isSeen = top >= this.box.getBoundingClientRect().bottom && (bottom <= innerHeight - ROOM || top <= first + 1);
    if (isSeen) return true;
    const before = scrollY;
    scrollBy({ top: top - first, behavior: "instant" });
    return Math.abs(scrollY - before) < 1; // it is as far as it goes
  }
}
