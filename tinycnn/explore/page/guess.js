// Predict first: a number stays hidden until the learner has said what they expect.

import { keepFocus, make, number, short } from "./dom.js";

/** What the learner has expected of each number that they have asked for: a number, or null if they gave none. */
const guesses = new Map();

/** Return the key of a number of the pass that is shown. */
export const keyOf = (app, n, name) => `${app.pass.description.trace} ${n} ${name}`;

/** Return whether a number is still hidden. */
export const isHidden = (app, key) => Boolean(app.state.get("predict")) && !guesses.has(key);

/** Return the number that somebody has typed, with any sign for minus and a comma or a point; NaN if it is none. */
export function typed(text) {
  const plain = text.trim().replace(/[−–]/g, "-").replace(",", ".");
  return plain === "" ? NaN : Number(plain);
}

/** Return what to tell somebody who has expected `guess`. */
export function verdict(guess, value, data) {
  const is = `It is ${number(value, data, true)}.`;
  if (guess === null) return is;
  const off = guess - value;
  const size = Math.abs(value);
  const expected = `You expected ${number(guess, null, true)}. ${is}`;
  if (!Number.isFinite(value)) return expected;
  const away = `${short(Math.abs(off), false)} too ${off > 0 ? "large" : "small"}`;
  if (Math.abs(off) <= 0.01 * size || off === 0) return `${expected} That is right${off === 0 ? "" : `, to ${short(Math.abs(off), false)}`}.`;
  if (Math.abs(off) <= 0.2 * size) return `${expected} That is close: ${away}.`;
  if (guess * value < 0) return `${expected} The sign is the other one. The table shows which products pull it there.`;
  return `${expected} Your number was ${away}. The table shows which products make the difference.`;
}

/**
 * Return the view of a number, hidden behind a question if the learner wants to predict first.
 *
 * @param app described in main.js
 * @param about key, from keyOf; name, such as "y(3, 4, 1)"; value; data, the typed array that holds it
 * @param view a function that returns the element for a stage: "asked" (without result and products), "hint" (with the
 *   products) or "open"
 * @param revealed called when the number may be seen everywhere
 */
export function predicting(app, { key, name, value, data }, view, revealed) {
  if (!app.state.get("predict")) return view("open");
  const box = make("div");
  if (guesses.has(key)) {
    box.append(make("p", { class: "verdict", tabindex: -1, "data-key": key }, verdict(guesses.get(key), value, data)), view("open"));
    return box;
  }
  const place = make("div", {}, view("asked"));
  const input = make("input", { type: "text", inputmode: "decimal", autocomplete: "off", class: "guess", "data-draft": true });
  const wrong = make("p", { class: "error" });
  const reveal = (guess) => {
    guesses.set(key, guess);
    app.say(`${name}: ${verdict(guess, value, data)}`);
    revealed();
    // The form has gone; who reads on by keyboard reads on at the answer.
    document.querySelector(`.verdict[data-key="${CSS.escape(key)}"]`)?.focus();
  };
  const form = make("form", {
    class: "predict",
    submit: (event) => {
      event.preventDefault();
      const guess = typed(input.value);
      if (Number.isNaN(guess)) {
        wrong.textContent = "Please type a number, such as 0.5 or −2.";
        app.say(wrong.textContent);
      } else reveal(guess);
    },
  },
  make("label", { class: "choice" }, make("span", {}, `What do you expect for ${name}?`), input),
  make("button", { type: "submit" }, "Compare"),
  make("button", {
    type: "button",
    click: () => {
      keepFocus(place, () => place.replaceChildren(view("hint")));
      app.say("The products are shown. Their sum is what is asked for, before bias and activation.");
    },
  }, "Show the products"),
  make("button", { type: "button", click: () => reveal(null) }, "Show the number"));
  box.append(form, wrong, place);
  return box;
}
