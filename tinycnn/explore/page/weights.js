// The gradient of a parameter: its terms, all places where the weight was used, and the same slope measured.

import { explainWeightGradient, explainWeightGradientOfAll } from "./arithmetic/index.js";
import { codeView } from "./codeview.js";
import { choice, keepFocus, make, number, short, table, times } from "./dom.js";
import { isHidden, keyOf, predicting } from "./guess.js";
import { MapView, asImage, placeOf } from "./maps.js";
import { measuredSlope } from "./measure.js";
import { explanationView, makerOf } from "./numbers.js";
import { indexAt, offset } from "./safetensors.js";
import { gradientOptions, indexOf, ownName, within } from "./selection.js";
import { measuredByEngine } from "./slopes.js";

/** Return the parameter and the index that the address names in a layer, such as "kernel:1,1,0,3". */
export function chosenWeight(state, layer) {
  const [given, at = ""] = state.get("weight").split(":");
  const names = Object.keys(layer.parameters);
  const name = names.includes(given) ? given : names[0];
  const { shape } = layer.parameters[name];
  return { name, index: (name === given && indexOf(at, shape)) || shape.map(() => 0) };
}

/**
 * Return the part of a parameter's gradient that is seen at once: {array, channel, place}, with `place` of the index in it,
 * and `indexOf(place)`, which leads back. Of a convolution that is the kernel between two channels, of a matrix a column.
 */
export function planeOf({ shape, data }, index) {
  const at = offset(shape, index);
  if (shape.length === 4) {
    const [KH, KW, C, F] = shape;
    return { array: { shape: [KH, KW, C * F], data }, channel: index[2] * F + index[3], place: at, indexOf: (place) => indexAt(shape, place) };
  }
  const columns = shape.length > 1 ? shape.at(-1) : 1;
  const column = at % columns;
  const length = data.length / columns;
  const array = { shape: [length], data: columns > 1 ? Float32Array.from({ length }, (_, n) => data[n * columns + column]) : data };
  return { array, channel: 0, place: Math.floor(at / columns), indexOf: (place) => indexAt(shape, place * columns + column) };
}

/** Return the name of a number of a parameter's gradient on this page. */
const nameOf = (name, index) => `d_${name}(${index.join(", ")})`;

/** Return what it is called where it is shown. */
const titleOf = (app, n, name, shape, index) =>
  ownName(app, { n, part: name, shape, index, image: app.pass.description.image }) ?? nameOf(name, index);

/** Return the map of a parameter's gradient, in which one of its numbers can be chosen. */
function mapOf(app, n, name, gradient, index, set) {
  const { array, channel, place, indexOf: back } = planeOf(gradient, index);
  const { columns, channels } = asImage(array);
  const isSecret = (at) => isHidden(app, keyOf(app, n, nameOf(name, at)));
  const map = new MapView({
    title: `d_${name}, the gradient by the parameter`, brief: `d_${name}`, say: app.say,
    chosen: (row, column) => {
      const at = back(placeOf(array, row, column, channel));
      set(at);
      const title = titleOf(app, n, name, gradient.shape, at);
      app.say(isSecret(at) ? `${title} is hidden: what do you expect?` : `${title} = ${number(gradient.data[offset(gradient.shape, at)], gradient.data)}`);
    },
  });
  const cell = Math.floor(place / channels);
  map.cursor = [Math.floor(cell / columns), cell % columns];
  map.isSecret = isSecret(index);
  const text = gradient.shape.length === 4 ? `channel ${index[2]}, filter ${index[3]}` : gradient.shape.length === 2 ? `to ${index[1]}` : times(gradient.shape);
  map.show(array, channel, { text });
  return map;
}

/**
 * Return the part of a layer's view that shows a gradient of its parameters; draw() shows it anew. `images` has the arrays
 * of each image if several always pass together.
 */
export function weightView(app, n, arrays, images, draw) {
  const layer = app.network.layers[n];
  if (!Object.keys(layer.parameters).length) return null;
  const { name, index } = chosenWeight(app.state, layer);
  const { shape } = layer.parameters[name];
  const set = (which, at) => app.state.set({ weight: `${which}:${at.join(",")}` });
  const fields = shape.map((length, axis) => {
    const input = make("input", {
      type: "number", min: 0, max: length - 1, value: index[axis], "aria-label": `axis ${axis} of ${name}`,
      change: () => set(name, index.with(axis, within(input.value, length))),
    });
    return input;
  });
  const which = choice("Parameter", Object.entries(layer.parameters).map(([one, about]) => [one, `${one} ${times(about.shape)}`]), name,
    (one) => set(one, layer.parameters[one].shape.map(() => 0)));
  const options = gradientOptions(app, n);
  const found = images.length ? explainWeightGradientOfAll(layer, images, name, index, options)
    : explainWeightGradient(layer, arrays, name, index, options);
  const [from, place] = app.state.get("image").split("-");
  const sums = images.length ? { part: Number(place), setPart: (image) => app.state.set({ image: `${from}-${image}` }) } : {};
  const title = titleOf(app, n, name, shape, index);
  const { data } = arrays.w[name];
  const key = keyOf(app, n, nameOf(name, index));
  const view = predicting(app, { key, name: title, value: found.value, data },
    (stage) => explanationView(found, { layer, data, name: title, who: makerOf(app.network), say: app.say, isCase: Boolean(app.network.case), stage, ...sums }), draw);
  const code = codeView(app, layer, "weight", [
    { title: nameOf(name, index), what: `d_${name}`, index }, { title: `${name}(${index.join(", ")}), the weight`, what: name, index },
  ]);
  const gradient = arrays[`d_${name}`];
  const map = gradient ? mapOf(app, n, name, gradient, index, (at) => set(name, at)).element : "";
  return make("section", { class: "weights", "data-part": "weights", "aria-label": "The gradient of a parameter" },
    make("h3", {}, "The gradient of a parameter"),
    make("div", { class: "controls" }, which, fields), map, view, code,
    isHidden(app, key) ? "" : measured(app, n, name, index, found));
}

/** Return the same slope, measured by the engine or, in a recording, which has none, by this browser. */
function measured(app, n, name, index, found) {
  return app.source.isRecording ? measuring(app, n, name, index, found) : measuredByEngine(app, `${n}.${name}`, index);
}

/** Return a button that measures the slope in this browser, and the place for what it finds. */
function measuring(app, n, name, index, found) {
  const place = make("div", { class: "numbers", role: "group", "aria-label": "The slope as measured in this browser" });
  const button = make("button", {
    type: "button", class: "measure",
    click: async () => {
      try {
        const answer = await measuredSlope(app, n, name, index, found);
        place.tabIndex = 0; // so that a wide table can be scrolled by keyboard
        keepFocus(place, () => place.replaceChildren(measuredView(answer)));
        app.say(`${answer.agrees ? "They agree." : "They do not agree."} Measured: ${short(answer.numeric)}, the sum of the terms: ${short(answer.sum)}.`);
      } catch (error) {
        place.replaceChildren(make("p", { class: "remark" }, error.message));
        app.say(error.message);
      }
    },
  }, "Measure this slope");
  return make("div", {}, button, place);
}

function measuredView({ h, above, below, numeric, sum, relative, agrees, kink }) {
  const rows = [
    [`loss with the weight larger by ${h}`, number(above)],
    [`loss with the weight smaller by ${h}`, number(below)],
    ["the difference, divided by twice that step", number(numeric, null, true)],
    ["the sum of the terms", number(sum, null, true)],
    ["relative error", short(relative, false)],
  ];
  const verdict = agrees ? "✓ They agree."
    : kink ? "These differ, because a kink lies within the step: a ReLU turns on, or another number becomes the largest."
      : "✗ They do not agree.";
  return make("div", {}, table("The same slope, measured in this browser in float64", ["number", "value"], rows),
    make("p", { class: agrees ? "good" : "error" }, verdict));
}
