// The lines of Python that print a number of the page.

import { codeFor } from "./arithmetic/index.js";
import { choice, make } from "./dom.js";

/** Copy a text, or select it where the browser does not let a page copy. */
export async function copy(app, text, element, what) {
  try {
    await navigator.clipboard.writeText(text);
    app.say(`${what} copied.`);
  } catch {
    getSelection().selectAllChildren(element);
    app.say(`This browser does not let the page copy. ${what} selected; press Ctrl+C.`);
  }
}

/** Return what codeFor has to know of the pass that is shown. */
function optionsOf(app) {
  const { mode, batch, label } = app.pass.description;
  return { label, training: mode === "training", images: batch, loss: app.network.loss, outputs: app.network.output_shape.at(-1) };
}

/** For each place of the page with lines of code: whether they are shown, and of `what`. */
const kept = new Map();

/**
 * Return an element with the lines that print numbers of a layer. It is closed until somebody opens it; from then on
 * it is open for every number that is shown at this place of the page.
 *
 * @param place a name for the place
 * @param numbers list of {title, what, index}, with `what` as codeFor takes it
 */
export function codeView(app, layer, place, numbers) {
  const now = kept.get(place) ?? { isOpen: false, what: "" };
  kept.set(place, now);
  const title = app.state.hides("title") ? "that is shown" : app.pass.description.title;
  const lines = make("pre", { tabindex: 0 });
  const show = (n) => {
    const { what, index } = numbers[n];
    now.what = what;
    lines.textContent = [`# model is the network, x the image: ${title.replace(/\s+/g, " ")}`, ...codeFor(layer, index, what, optionsOf(app))].join("\n");
  };
  const first = Math.max(0, numbers.findIndex(({ what }) => what === now.what));
  show(first);
  return make("details", { class: "code", "data-part": "code", open: now.isOpen, toggle: (event) => { now.isOpen = event.target.open; } },
    make("summary", {}, "Show the code"),
    choice("Python for", numbers.map(({ title: text }, n) => [String(n), text]), String(first), (n) => show(Number(n))),
    make("button", { type: "button", click: () => copy(app, lines.textContent, lines, "The lines are") }, "Copy the lines"),
    lines);
}

/** Return the numbers of a layer that have lines of their own, beside its result at an index. */
export function numbersOf(layer, index) {
  const at = `(${index.join(", ")})`;
  const found = [{ title: `y${at}, the result`, what: "y", index }];
  if (layer.activation && "kernel" in layer.parameters) found.push({ title: `z${at}, before the activation`, what: "z", index });
  if (["Conv2D", "DepthwiseConv2D", "Dense"].includes(layer.kind)) found.push({ title: "the products and their sum", what: "products", index });
  const c = [index.at(-1)];
  if ("bias" in layer.parameters) found.push({ title: `bias(${c})`, what: "bias", index: c });
  if (layer.kind === "BatchNormalization") {
    const five = ["mean", "variance", "gamma", "beta", "epsilon"].filter((name) => !["gamma", "beta"].includes(name) || name in layer.parameters);
    found.push(...five.map((what) => ({ title: what === "epsilon" ? what : `${what}(${c})`, what, index: c })));
  }
  return found;
}
