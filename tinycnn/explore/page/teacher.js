// Teacher mode: what is hidden, what is asked before it is shown, and an address that shows exactly this.

import { copy } from "./codeview.js";
import { make } from "./dom.js";

/** The parts of the page that can be hidden, by the name that they have in the address and in `data-part`. */
export const PARTS = [
  ["layers", "row of layers"], ["answer", "network's answer"], ["title", "image's title"], ["image", "image"],
  ["numbers", "numbers"], ["weights", "gradient of a parameter"], ["code", "code"],
];

const listOf = (state) => state.get("hide").split(",").filter((name) => PARTS.some(([part]) => part === name));

/** Return the address of what is shown, without the secret of this session. */
export function addressOf(place) {
  const { href, hash } = place;
  return href.replace(hash, "").replace(/[?#].*$/, "") + hash;
}

/** Return the buttons for whoever shows the page to a class; `app` is described in main.js. */
export function teacherBar(app) {
  const { state } = app;
  const toggle = (text, isOn, change) => {
    const button = make("button", { type: "button", click: () => change(!isOn()) }, text);
    return { button, draw: () => button.setAttribute("aria-pressed", String(isOn())) };
  };
  const hide = (part, isHidden) => {
    const others = listOf(state).filter((name) => name !== part);
    state.set({ hide: (isHidden ? [...others, part] : others).join(",") });
    app.say(`The ${PARTS.find(([name]) => name === part)[1]} is ${isHidden ? "hidden" : "shown"}.`);
  };
  const toggles = [
    toggle("Predict first", () => Boolean(state.get("predict")), (on) => {
      state.set({ predict: on ? "1" : "" });
      app.say(on ? "A number is hidden until you have said what you expect." : "All numbers are shown.");
    }),
    ...PARTS.map(([part, title]) => toggle(`Hide the ${title}`, () => state.hides(part), (on) => hide(part, on))),
  ];
  const shown = make("code", { class: "address" });
  const draw = () => {
    document.documentElement.dataset.hide = listOf(state).join(" ");
    for (const one of toggles) one.draw();
    shown.textContent = addressOf(location);
  };
  draw();
  state.watch(draw);
  return make("details", { class: "teacher-bar" }, make("summary", {}, "For teaching"),
    make("div", { class: "controls", role: "group", "aria-label": "For teaching" }, toggles.map(({ button }) => button)),
    make("p", {}, make("button", { type: "button", click: () => copy(app, addressOf(location), shown, "The address is") }, "Copy the address"),
      " It holds all that is chosen, hidden and asked, and how large it is: ", shown));
}
