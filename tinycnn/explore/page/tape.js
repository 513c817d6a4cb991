// The tape of a pass: what forward keeps for backward, layer by layer, on the way down and on the way up again.

import { able, amount, keepFocus, make, times } from "./dom.js";
import { within } from "./selection.js";

/** Return a number of bytes as people read it. */
export function sizeOf(bytes) {
  if (bytes < 1024) return amount(bytes, "byte");
  return bytes < 1024 ** 2 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
}

/** What an array of a cache is to its layer. */
const MEANINGS = { x: "its input", y: "its result" };

/** Return a kept array or number as a text. */
function textOf({ name, shape, bytes, of, shared, value }) {
  if (!shape) return `${name} = ${value}`;
  const is = of ? `, ${MEANINGS[of]}` : "";
  return `${name}${is}: ${times(shape)}, ${shared ? "kept already, no more bytes" : sizeOf(bytes)}`;
}

const bytesOf = (kept) => kept.reduce((sum, { bytes, shared }) => sum + (shared ? 0 : bytes ?? 0), 0);

/** Build the view; `app` is described in main.js. */
export function mount(section, app) {
  const { state } = app;
  const text = make("p", { class: "remark" });
  const story = make("p", { class: "story numbers", role: "status" });
  const back = make("button", { type: "button", click: () => go(-1) }, "Step back");
  const next = make("button", { type: "button", click: () => go(1) }, "Next step");
  const buttons = make("div", { class: "controls", role: "group", "aria-label": "Steps of the tape" }, back, next);
  const place = make("div", { class: "tape", tabindex: 0, role: "group", "aria-label": "The tape: arrow down for the next step, arrow up for the one before" });
  section.append(make("h2", {}, "The tape: what forward keeps for backward"), text, buttons, story, place);
  for (const one of [buttons, place]) one.addEventListener("keydown", key);

  const layers = () => app.network.layers;
  const steps = () => 2 * layers().length;
  const position = () => within(state.get("tape"), steps());

  /** Return the layer of a step, and whether it is on the way down. */
  function at(step) {
    const count = layers().length;
    return step < count ? { n: step, down: true } : { n: 2 * count - 1 - step, down: false };
  }

  function go(by) {
    state.set({ tape: Math.max(0, Math.min(steps() - 1, position() + by)) });
  }

  function key(event) {
    const by = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    go(by);
    event.preventDefault();
  }

  /** Return the bytes that are kept after a step: on the way up, a layer's cache can go when it was used. */
  function heldAfter(kept, step) {
    const { n, down } = at(step);
    return kept.slice(0, down ? n + 1 : n).reduce((sum, one) => sum + bytesOf(one), 0);
  }

  /** Say what happens in a step. */
  function storyOf(kept, step) {
    const { n, down } = at(step);
    const layer = layers()[n];
    const list = kept[n].map(textOf).join("; ");
    const held = sizeOf(heldAfter(kept, step));
    if (down) {
      return `Step ${step + 1} of ${steps()}, forward: ${layer.name} makes ${times(layer.output_shape)} from ${times(layer.input_shape)} and keeps `
        + `${list || "nothing"}. The tape now holds ${held}.`;
    }
    const gradients = Object.entries(layer.parameters).filter(([, one]) => one.trainable).map(([name]) => `d_${name}`);
    const made = [...gradients, ...(n || app.pass.arrays["0.dx"] ? ["dx"] : [])].join(", ");
    return `Step ${step + 1} of ${steps()}, backward: ${layer.name} is given dy, reads ${list || "nothing"} from the tape, and returns ${made}. `
      + `Its part of the tape can go: ${held} are left.`;
  }

  function draw() {
    if (!app.pass || state.get("view") !== "tape") return;
    const { kept, batch, mode } = app.pass.description;
    if (!kept) {
      text.textContent = "This pass does not say what it keeps.";
      place.replaceChildren();
      return;
    }
    const now = position();
    const total = kept.reduce((sum, one) => sum + bytesOf(one), 0);
    text.textContent = `${mode === "training" ? "A training step" : "This pass"} with ${amount(batch, "image")} keeps ${sizeOf(total)}. `
      + "The walk goes down the left column and up the right one; each layer reads on the way up what it has kept on the way down.";
    story.textContent = storyOf(kept, now);
    able(back, now > 0);
    able(next, now < steps() - 1);
    keepFocus(place, () => place.replaceChildren(tableOf(kept, now)));
    place.dataset.shown = now;
    place.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
  }

  function tableOf(kept, now) {
    const count = layers().length;
    const cell = (step, content) => {
      const current = step === now;
      const passed = step < now;
      return make("td", { class: current ? "current" : passed ? "passed" : "", "aria-current": current ? "step" : null },
        make("span", { class: "arrow", "aria-hidden": "true" }, current ? "▶ " : passed ? "✓ " : ""), ...content);
    };
    const open = (n, way) => make("button", {
      type: "button", click: () => state.set({ view: "inside", layer: n, at: "", part: "", way }),
    }, layers()[n].name);
    const list = (texts) => (texts.length ? make("ul", {}, texts.map((one) => make("li", {}, one))) : make("span", { class: "remark" }, " nothing"));
    const rows = layers().map((layer, n) => {
      const names = kept[n].map(({ name }) => name);
      // What forward has put on the tape is there from its step on, until backward has used it.
      const there = now >= n && now <= 2 * count - 1 - n;
      const holds = cell(n, [open(n, "forward"), make("small", {}, ` makes ${times(layer.output_shape)}, keeps`), list(kept[n].map(textOf))]);
      holds.classList.toggle("there", there && kept[n].length > 0);
      return make("tr", {}, make("th", { scope: "row" }, String(n)), holds,
        cell(2 * count - 1 - n, [open(n, "backward"), make("small", {}, " reads"), list(names)]));
    });
    return make("table", {}, make("caption", {}, "Forward goes down, backward goes up; ▶ marks the step, ✓ what is done"),
      make("thead", {}, make("tr", {}, ["layer", "forward ↓", "backward ↑"].map((title) => make("th", { scope: "col" }, title)))),
      make("tbody", {}, rows));
  }

  app.watch(draw);
  state.watch((changed) => {
    if (["view", "tape", "teacher"].some((name) => changed.has(name))) draw();
  });
}
