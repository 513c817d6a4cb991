// The page as a whole: what is looked at, and the views on it. Each view is a module with mount(element, app).

import { api, arraysOf, send } from "./api.js";
import { amount, choice, keepFocus, make, short } from "./dom.js";
import { live } from "./live.js";
import { prepared } from "./preparing.js";
import { State } from "./state.js";
import { teacherBar } from "./teacher.js";
import { mountTours, tourChoice } from "./tours.js";

/** The name of each view in the address, its title, how to get its module, and whether a recording has it. */
const VIEWS = [
  ["inside", "Look inside", () => import("./inside.js"), true],
  ["matrix", "As a matrix", () => import("./im2col.js"), true],
  ["tape", "The tape", () => import("./tape.js"), true],
  ["draw", "Draw and find", () => import("./draw.js"), true],
  ["kernels", "Your kernels", () => import("./kernels.js"), false],
  ["train", "Train", () => (source.isRecording ? import("./recorded/trained.js") : import("./train.js")), true],
];

/** Keys that do something; others, such as Tab, leave a message to be read. */
const ENDING = new Set(["Enter", " ", "ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "PageUp", "PageDown", "Home", "End"]);

const state = new State();
const main = document.getElementById("main");
const said = document.getElementById("said");
/** That a pass is on its way. */
const waiting = make("p", { id: "waiting", role: "status" });
/** After how many milliseconds that is said, once there are numbers to look at. */
const PATIENCE = 400;
/** After how many milliseconds it is said that a function of the learner's may never end. */
const SUSPICION = 10_000;
const sections = new Map();
/** What went wrong with the last pass, where nobody overlooks it. */
const problem = make("p", { class: "error problem", role: "alert", hidden: true });
/** Where the numbers of a recording come from, above every view. */
const origin = make("p", { class: "remark", id: "origin", hidden: !globalThis.tinycnnRecording });
/** Why the learner's file could not be loaded again: the numbers are then those of the file as it was before. */
let notLoaded = "";
let asked = 0;

/** The server, or in a recording what stands in the file itself: see live.js. */
const source = globalThis.tinycnnRecording ? (await import("./recorded.js")).recorded : live;
/** The views that are for networks, and not for a case of an exercise: nothing is learned from it, and it has no classes. */
const FOR_NETWORKS = new Set(["draw", "train"]);

/** Return the views that there are. */
const offered = () => VIEWS.filter(([name, , , isRecorded]) =>
  (isRecorded || !source.isRecording) && !(app.network.case && FOR_NETWORKS.has(name)));

const app = {
  state, source,
  send: source.send ?? send,
  api: source.api ?? api,
  arraysOf: source.arraysOf ?? arraysOf,
  network: null,
  /** The pass that is shown: {description, arrays}; null until there is one. */
  pass: null,
  listeners: [],
  /** Say something to everybody, also to those who only hear the page; the next key or click takes it away. */
  say(text) {
    said.textContent = text;
  },
  /** Say what went wrong, above the numbers, which are then those of the last pass that worked. */
  failed(error) {
    problem.hidden = false;
    problem.textContent = `${error.message}${app.pass ? "\nWhat is shown below is from before." : ""}`;
    app.say(error.message);
    console.error(error);
  },
  /** Say why the learner's file could not be loaded again, above the numbers, until it was; "" says that it was. */
  fileFailed(message) {
    notLoaded = message;
    tellOfFile();
    if (message) app.say(message);
  },
  /** Look at another image. */
  show(image) {
    state.set({ image, label: "", view: "inside" });
  },
  /** Call listener(pass) for every new pass. */
  watch(listener) {
    app.listeners.push(listener);
    if (app.pass) listener(app.pass);
  },
  /** Ask for everything anew, because the weights have changed. */
  async weightsChanged() {
    await trainedUntil();
    app.network = await source.network();
    await look(); // until there is a new pass, what is held of the old one is shown: the server has forgotten it
  },
  /**
   * Return what a layer holds in this pass: parameters, buffers and their gradients.
   *
   * If the pass is not kept any more, because another tab or a training has changed the weights, the error is marked
   * with `isOld`: nobody has to be told, because a new pass is asked for.
   */
  layerArrays: (layer) => heldOf("layer", layer),
  /** Return the arrays of one of the images of this pass, of those that pass together. */
  imageArrays: (image) => heldOf("image", image),
};
const held = new Map();
/** The pass in whose place another one was asked for. */
let renewed = null;

/** Return what `source` has of a part of the pass that is shown; `what` is the name of the function. */
function heldOf(what, part) {
  const { trace } = app.pass.description;
  const key = `${trace}/${what}/${part}`;
  if (!held.has(key)) {
    const found = source[what](trace, part);
    found.catch((error) => {
      held.delete(key);
      error.isOld = error.message.includes("not kept any more");
      if (!error.isOld || renewed === trace || trace !== app.pass.description.trace) return;
      renewed = trace;
      app.weightsChanged().catch(app.failed);
    });
    held.set(key, found);
    while (held.size > 24) held.delete(held.keys().next().value);
  }
  return held.get(key);
}

/** In a recording, take the weights of the step of its training that the address names. */
async function trainedUntil() {
  try {
    await source.use?.(state.get("trained"));
  } catch (error) {
    state.set({ trained: "" });
    app.say(error.message);
  }
}

/** Say whether the numbers are those of the learner's file as it is. */
function tellOfFile() {
  problem.hidden = !notLoaded;
  problem.textContent = notLoaded && `${notLoaded}\nWhat is shown below is what the file computed before.`;
}

/** Run the chosen image through the network, and tell the views. */
async function look() {
  const image = state.get("image");
  if (!image) return;
  asked += 1;
  const mine = asked;
  const label = Number(state.get("label"));
  main.setAttribute("aria-busy", "true");
  waiting.classList.toggle("first", !app.pass);
  if (!app.pass) waiting.textContent = "Computing the first pass …";
  const late = setTimeout(() => { waiting.textContent ||= "Computing the pass …"; }, PATIENCE);
  const { kernels } = app.network;
  const never = setTimeout(() => {
    if (kernels) waiting.textContent = `The pass takes long. If a function in ${kernels} never ends, Ctrl-C in the terminal ends it.`;
  }, SUSPICION);
  try {
    const isGiven = state.get("label") !== "" && Number.isFinite(label);
    const pass = await source.trace(image, isGiven ? label : null, state.get("mode"));
    if (mine !== asked) return; // another image was chosen meanwhile
    app.pass = pass;
    tellOfFile();
    origin.textContent = `${state.hides("title") ? "This image" : pass.description.title}: ${pass.description.remark}`;
    controls();
    for (const listener of app.listeners) listener(pass);
  } catch (error) {
    if (mine === asked) app.failed(error);
  } finally {
    clearTimeout(late);
    clearTimeout(never);
    if (mine === asked) {
      main.removeAttribute("aria-busy");
      waiting.textContent = "";
    }
  }
}

/** Fill the controls at the top of the page. */
function controls() {
  const { network } = app;
  const sets = Object.entries(network.sets);
  const [which, at] = state.get("image").split("-");
  const count = network.sets[which] ?? 0;
  const parts = [];
  if (sets.length) {
    const input = make("input", {
      type: "number", min: 0, max: Math.max(0, count - 1), value: count ? at : "", "aria-label": "Number of the image",
      change: () => state.set({ image: `${which}-${Math.max(0, Math.min(count - 1, Math.trunc(Number(input.value) || 0)))}`, label: "" }),
    });
    const names = { test: "test images", train: "training images", own: "your own" };
    const shown = sets.map(([name]) => [name, names[name]]);
    if (!count) shown.push([which, names[which] ?? which]);
    // The images of a case are all that there are, and together they are one of its arguments.
    if (!network.case) parts.push(choice("Image from", shown, which, (name) => state.set({ image: `${name}-0`, label: "" })), count ? input : "");
    else if (count > 1) parts.push(make("label", { class: "choice" }, make("span", {}, `Image, of ${count}`), input));
  }
  parts.push(
    network.whole ? "" : network.gives_one_number ? targetField() : classChoice(), // together, each image has its own label
    choice("Pass", [["prediction", "as in prediction"], ["training", "as in training"]], state.get("mode"), (mode) => state.set({ mode })),
    choice("Show", [["forward", "values"], ["backward", "gradients"]], state.get("way"), (way) => state.set({ way })),
    make("button", {
      type: "button", "aria-pressed": String(Boolean(state.get("teacher"))),
      click: () => {
        state.set({ teacher: state.get("teacher") ? "" : "1" });
        app.say(state.get("teacher") ? "The numbers are large, for a class to read." : "The numbers have their usual size.");
      },
    }, "Large"),
    network.case ? "" : tourChoice(state), // they speak of networks that see photographs
    choice("Theme", [["", "as the system"], ["light", "light"], ["dark", "dark"]], state.get("theme"), (theme) => state.set({ theme })),
  );
  const box = document.getElementById("controls");
  keepFocus(box, () => box.replaceChildren(...parts));
}

/** Return the choice of the class for whose loss the gradients are. */
function classChoice() {
  const { classes } = app.network;
  const { true: known, label } = app.pass?.description ?? {};
  const isSaid = app.pass && state.get("label") === "" && !state.hides("answer");
  const own = isSaid ? `${known === null ? "most probable" : "true"}: ${classes[label] ?? label}` : "its own";
  return choice("Loss for the class", [["", own], ...classes.map((name, n) => [String(n), name])], state.get("label"), (value) => state.set({ label: value }));
}

/** Return the field for the target of a network that gives a number; empty, it is the image's own. */
function targetField() {
  const known = app.pass?.description.true;
  const own = !app.pass || state.hides("answer") ? "its own" : known === null ? "0, it has none" : `its own: ${short(known, false)}`;
  const input = make("input", {
    type: "number", step: "any", value: state.get("label"), placeholder: own, class: "target",
    change: () => {
      if (!input.validity.badInput) state.set({ label: input.value });
      else app.say("Loss for the target: please type a number, such as 0.5, or nothing for the image's own target.");
    },
  });
  return make("label", { class: "choice" }, make("span", {}, "Loss for the target"), input);
}

/**
 * Show the chosen view; each is made when it is first shown, and only hidden from then on. Who came by a control of
 * another view, which is hidden now, reads on at the beginning of this one.
 */
async function view() {
  const [name, title, load] = offered().find(([key]) => key === state.get("view")) ?? offered()[0];
  let mounting = null;
  if (!sections.has(name)) {
    const section = make("section", { id: name, "aria-label": title, tabindex: -1 });
    sections.set(name, section);
    main.append(section);
    mounting = load().then((module) => module.mount(section, app));
  }
  const cameFrom = document.activeElement.closest("main > section");
  for (const [key, section] of sections) section.hidden = key !== name;
  if (cameFrom?.hidden) sections.get(name).focus({ preventScroll: true });
  for (const button of document.querySelectorAll("#views button")) {
    if (button.value === name) button.setAttribute("aria-current", "page");
    else button.removeAttribute("aria-current");
  }
  await mounting;
}

function appearance() {
  document.documentElement.dataset.theme = state.get("theme");
  document.documentElement.classList.toggle("teacher", Boolean(state.get("teacher")));
}

async function start() {
  // The secret has done its work: the cookie has it now, and an address that is shown to a class should not.
  if (!source.isRecording) history.replaceState(null, "", `/${location.hash}`);
  appearance();
  await trainedUntil();
  const loading = document.getElementById("loading");
  app.network = await prepared(source.network, loading, app.say);
  loading.replaceWith(waiting, origin, problem);
  const { network } = app;
  document.getElementById("title").textContent =
    `${network.name}: ${[network.case ? "" : amount(network.parameters, "parameter"), network.data].filter(Boolean).join(", ")}`;
  document.title = `${network.name} · tinycnn explore`;
  document.getElementById("views").append(...offered().filter(([name]) => name !== "kernels" || network.kernels).map(([name, title]) =>
    make("li", {}, make("button", {
      type: "button", value: name,
      click: () => {
        state.set({ view: name });
        app.say(`The view is "${title}" now.`);
      },
    }, title))));
  document.getElementById("controls").before(teacherBar(app));
  mountTours(main, app);
  if (!state.get("image")) {
    const first = Object.keys(network.sets)[0];
    if (first) state.set({ image: `${first}-0` }, true);
    else state.set({ view: "draw" }, true);
  }
  controls();
  // A message belongs to what was done last. A press comes before what it does, so before what that says.
  addEventListener("pointerdown", () => app.say(""), true);
  addEventListener("keydown", ({ key }) => ENDING.has(key) && app.say(""), true);
  state.watch((changed) => {
    if (changed.has("trained") && source.use) app.weightsChanged();
    if (changed.has("theme") || changed.has("teacher")) appearance();
    if (changed.has("view")) view();
    if (changed.has("image") || changed.has("label") || changed.has("mode")) look();
    setTimeout(controls); // not before the focus is where the Tab key brings it
  });
  await Promise.all([view(), look()]);
}

start().catch((error) => {
  main.replaceChildren(make("p", { class: "error problem", role: "alert" }, error.message));
});
