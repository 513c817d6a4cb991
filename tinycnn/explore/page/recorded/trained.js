// The view of a training in a recording: its curves, and a slider that shows the network at some of its steps.

import { Curve, CurveFigure } from "../curves.js";
import { amount, make, number, table } from "../dom.js";
import { filterPicture } from "../seen.js";

/** Fill the view. */
export async function mount(section, app) {
  section.append(make("h2", {}, "Train"));
  const training = await app.source.training();
  if (!training) {
    section.append(make("p", {}, "No training was recorded in this file, and to train needs the engine: open the network with 'tinycnn explore'."));
    return;
  }
  const { state, steps, canCompute } = training;
  const { batches, validation, settings } = state.lanes.main;
  const lanes = { main: { title: "training", batches: new Curve(batches), validation: new Curve(validation) } };
  const figures = [new CurveFigure("Loss", 1), ...(app.network.gives_one_number ? [] : [new CurveFigure("Accuracy", 2)])];
  const show = (step) => figures.forEach((figure) => figure.show(lanes, step));
  const box = make("div", { class: "training" });
  section.append(box);
  box.append(make("p", {}, `This network was trained on ${amount(state.images, "image")} in batches of ${settings.batch_size}, `
    + `${amount(state.steps_per_epoch, "step")} ${settings.epochs === 1 ? "in one epoch" : `in each of ${settings.epochs} epochs`}.`));
  if (canCompute) box.append(slider(app, steps, show));
  else box.append(make("p", { class: "remark" }, "Only Python can compute a layer of this network, so that it can be shown at the end of its training only."));
  box.append(make("div", { class: "figures" }, figures.map((figure) => figure.element)));
  if (canCompute) box.append(filters(app), answer(app));
  if (!canCompute) show(steps.at(-1));
}

/** Return the slider, which shows the network as it was after a step; the address names that step. */
function slider(app, steps, show) {
  const last = steps.length - 1;
  const input = make("input", { type: "range", class: "steps-slider", "aria-label": `One of ${amount(steps.length, "recorded step")}`, min: 0, max: last, value: last, step: 1 });
  const output = make("output", { class: "value" });
  const tell = () => {
    const text = `step ${steps[input.value]} of ${steps[last]}`;
    output.textContent = text;
    input.setAttribute("aria-valuetext", text);
    show(steps[input.value]);
  };
  const follow = () => {
    const k = steps.findIndex((step) => String(step) === app.state.get("trained"));
    input.value = k < 0 ? last : k;
    tell();
  };
  input.addEventListener("input", tell);
  input.addEventListener("change", () => {
    const k = Number(input.value);
    app.say(`The network after ${output.textContent}`);
    app.state.set({ trained: k === last ? "" : steps[k] });
  });
  app.state.watch((changed) => changed.has("trained") && follow());
  follow();
  return make("div", { class: "step" }, make("span", {}, amount(steps.length, "recorded step")), input, output);
}

/** Return the filters of the first layer, if it is a convolution, with the weights of that step. */
function filters(app) {
  const place = make("div");
  const { layers } = app.network;
  const n = layers.findIndex(({ parameters }) => Object.keys(parameters).length);
  if (n < 0 || layers[n].kind !== "Conv2D") return place;
  app.watch(async () => {
    const { kernel: { shape: [KH, KW, C, F], data } } = await app.layerArrays(n);
    const scale = data.reduce((most, weight) => Math.max(most, Math.abs(weight)), 0);
    const weights = Array.from({ length: F }, (_, f) => Array.from({ length: KH * KW * C }, (__, k) => Math.round((127 * data[k * F + f]) / (scale || 1))));
    place.replaceChildren(filterPicture(`The filters of ${layers[n].name}`, { layer: layers[n].name, count: F, shape: [F, KH, KW, C], scale, weights: weights.flat() }));
  });
  return place;
}

/** Return what the network answers for the chosen image with the weights of that step. */
function answer(app) {
  const box = make("div", { class: "numbers" });
  app.watch(({ description, arrays }) => {
    const y = arrays[`${app.network.layers.length - 1}.y`];
    const title = `What it answers for ${description.title}`;
    const rows = Array.from(y.data, (value, k) => {
      const name = app.network.classes[k] ?? String(k);
      return [make("span", { title: name }, name), number(value, y.data)];
    });
    const found = app.network.gives_one_number ? make("p", {}, `${title}: ${number(y.data[0], y.data)}`) : table(title, ["class", "result"], rows);
    box.replaceChildren(found,
      make("p", { class: "remark" }, "Every number of this pass is in the view “Look inside”."));
  });
  return box;
}
