// Guided tours: short texts that drive the page. The tour and its step stand in the address.

import { able, choice, make } from "./dom.js";
import { Revealing, SOUGHT } from "./revealing.js";
import { within } from "./selection.js";

/**
 * Each has a name, a title, and a module that has under this name `steps` and `prepare(app)`, which returns what its steps speak about in the pass that is shown, or a
 * text that says why it does not fit. A step has `set(found)`, what it changes in the address, `text(found)`, its
 * paragraphs, and `look(found)`, selectors of what they speak of, the most important first.
 */
const TOURS = [
  ["pixel", "From pixels to one number", () => import("./tours/pixel.js")],
  ["pooling", "What pooling keeps, and its gradient", () => import("./tours/pooling.js")],
  ["relu", "A ReLU that is dead", () => import("./tours/relu.js")],
  ["loss", "From scores to the loss and back", () => import("./tours/loss.js")],
  ["weight", "The gradient of one weight", () => import("./tours/weight.js")],
];

/** Return the choice of a tour for the top of the page. */
export function tourChoice(state) {
  const found = choice("Guided tour", [["", "none"], ...TOURS.map(([name, title]) => [name, title])], state.get("tour"),
    (tour) => state.set({ tour, step: "", predict: "" }));
  found.classList.add("tour-choice");
  return found;
}

/** Put the tours' texts into the page before `main`. */
export function mountTours(main, app) {
  const { state } = app;
  const heading = make("h2");
  const text = make("div", { class: "said-here", "aria-live": "polite" });
  const back = make("button", { type: "button", click: () => go(-1) }, "Back");
  const next = make("button", { type: "button", click: () => go(1) }, "Next");
  const again = make("button", {
    type: "button",
    click: () => {
      show(true);
      app.say(`The page shows what the text speaks of: ${heading.textContent}`);
    },
  }, "Go to the place again");
  const leave = () => {
    state.set({ tour: "", step: "", predict: "" });
    document.querySelector("#controls .tour-choice select")?.focus(); // where one was begun, because this button has gone
  };
  const end = make("button", { type: "button", click: leave }, "End the tour");
  const box = make("section", { class: "tour", "aria-label": "Guided tour", keydown: key }, heading, text, make("div", { class: "controls" }, back, next, again, end));
  box.hidden = true;
  main.before(box);
  const revealing = new Revealing(box, main);
  let asked = 0;
  // An address that says what is shown shows just that, and the text beside it.
  const says = () => state.get("layer") !== "" || state.get("at") !== "";
  let asGiven = says();

  let now = null; // the tour that is shown: {name, prepare, steps}
  const step = () => within(state.get("step"), now.steps.length);

  function go(by) {
    if (!now) return;
    state.set({ step: Math.max(0, Math.min(now.steps.length - 1, step() + by)) });
  }

  function key(event) {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    go(by);
    event.preventDefault();
  }

  /** Show the step; with `moves`, the page goes to its place. */
  async function enter(moves) {
    const [name, title, load] = TOURS.find(([one]) => one === state.get("tour")) ?? [];
    box.hidden = !load;
    revealing.end();
    if (now?.name !== name) now = null; // its steps count as they are pressed, however fast
    if (!load || !app.pass) return;
    if (app.pass.description.mode !== "prediction" && state.get("mode") !== "prediction") {
      state.set({ mode: "prediction" }, true); // the pass that comes of it enters again
      return;
    }
    asked += 1;
    const mine = asked;
    const pass = app.pass;
    const tour = (await load())[name];
    const found = await tour.prepare(app);
    if (mine !== asked || pass !== app.pass) return;
    now = { name, ...tour };
    const k = step();
    const refused = typeof found === "string";
    heading.textContent = refused ? title : `${title}: step ${k + 1} of ${now.steps.length}`;
    able(back, !refused && k > 0);
    able(next, !refused && k < now.steps.length - 1);
    able(again, !refused);
    if (refused) {
      text.replaceChildren(make("p", {}, found));
      return;
    }
    if (moves) state.set(now.steps[k].set(found), true);
    text.replaceChildren(...now.steps[k].text(found).map((one) => make("p", {}, one)));
    box.dataset.step = `${name} ${k}`;
    revealing.begin(now.steps[k].look(found));
  }

  const show = (moves) => enter(moves).catch((error) => error.isOld || app.failed(error));
  app.watch(() => {
    show(!asGiven);
    if (asGiven && !state.get("tour") && Object.hasOwn(SOUGHT, state.get("seek"))) revealing.begin(SOUGHT[state.get("seek")]);
    asGiven = false;
  });
  state.watch((changed, isGiven) => {
    if (changed.has("tour") || changed.has("step")) show(!(isGiven && says()));
  });
}
