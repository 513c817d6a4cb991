// The network as a row of layers with their real maps, and one of them in detail, down to a product.

import { explain, explainInputGradient } from "./arithmetic/index.js";
import { asProbabilities } from "./arithmetic/loss.js";
import { codeView, numbersOf } from "./codeview.js";
import { amount, keepFocus, make, number, put, short, sized, times } from "./dom.js";
import { asMark, seenInImage, seenInInput } from "./field.js";
import { isHidden, keyOf, predicting } from "./guess.js";
import { MapView, asImage, extent, photograph, picture, placeOf, scheme } from "./maps.js";
import { explanationView, lossGradientView, makerOf, openedPart, suspectedPart } from "./numbers.js";
import { indexAt, offset, valueAt } from "./safetensors.js";
import { unsettled } from "./settling.js";
import { chosenIn, gradientOptions, layerNumber, layerPass, ownName, within } from "./selection.js";
import { checkButton, measuredByEngine } from "./slopes.js";
import { chosenWeight, weightView } from "./weights.js";

/** How many channels the small picture of a layer shows. */
const STRIP = 9;
/** How many rows of channels are seen at once; of more, whole rows are scrolled to. */
const MOST_ROWS = 6;

/** Build the view; `app` is described in main.js. */
export function mount(section, app) {
  const { state } = app;
  const row = make("ol", { class: "layers", "aria-label": "Layers", "data-part": "layers" });
  const answer = make("p", { class: "answer", "data-part": "answer" });
  const early = make("p", { class: "remark early", "data-part": "answer" });
  const detail = make("div");
  const check = checkButton(app, (n, ok) => {
    const button = row.querySelector(`button[value="${n}"]`);
    button?.classList.toggle("wrong", !ok);
    button?.querySelector(".checked")?.remove();
    button?.append(make("small", { class: `checked ${ok ? "good" : "error"}` }, ok ? "✓ gradients agree" : "✗ wrong gradient"));
  });
  if (check) check.hidden = true; // until there is a pass to check
  section.append(row, make("div", { class: "told" }, answer, check), early, detail);
  let drawn = null; // what the row shows, so that a click does not paint it anew
  let current = null;

  const way = () => state.get("way");

  /** Show another layer. */
  function open(n) {
    state.set({ layer: n, at: "", part: "" });
    app.say(`${app.network.layers[n].name}: ${app.network.layers[n].class}, ${times(app.network.layers[n].output_shape)}`);
  }

  /** Paint the row of layers. */
  function drawRow() {
    const pass = app.pass;
    const key = `${pass.description.trace} ${way()} ${scheme()}`;
    if (drawn !== key) {
      drawn = key;
      const input = make("li", {}, make("button", { type: "button", disabled: true },
        make("strong", {}, "input"), make("small", {}, times(app.network.input_shape)), strip(pass.arrays.x, !app.network.case)));
      const buttons = app.network.layers.map((layer, n) => {
        const shown = pass.arrays[`${n}.${way() === "forward" ? "y" : "dy"}`];
        const count = Object.values(layer.parameters).reduce((sum, one) => sum + one.shape.reduce((a, b) => a * b, 1), 0);
        const facts = [layer.class, times(layer.output_shape), amount(count, "parameter")];
        if (layer.field) facts.push(`sees ${sized(layer.field, "pixel")}`);
        return make("li", {}, make("button", { type: "button", value: n, click: () => open(n) },
          make("strong", {}, breakable(layer.name)), ...facts.map((text) => make("small", {}, text)), shown ? strip(shown) : ""));
      });
      keepFocus(row, () => row.replaceChildren(input, ...buttons));
    }
    for (const button of row.querySelectorAll("button[value]")) {
      button.setAttribute("aria-pressed", String(Number(button.value) === layerNumber(app)));
    }
  }

  /** Show the chosen layer in detail. */
  async function drawDetail() {
    const n = layerNumber(app);
    const pass = app.pass;
    const together = way() === "backward" && app.network.whole && pass.description.batch > 1;
    const images = Array.from({ length: together ? pass.description.batch : 0 }, (_, k) => app.imageArrays(k));
    const [held, ...others] = await Promise.all([app.layerArrays(n), ...images]);
    if (pass !== app.pass || n !== layerNumber(app)) return;
    const same = current && current.n === n && current.way === way();
    if (!same) current = makeDetail(n);
    keepFocus(detail, () => {
      if (current.element.parentNode !== detail) detail.replaceChildren(current.element); // maps are as large as their place
      current.update(layerPass(pass, n, held), others.map((one) => layerPass({ arrays: one }, n, held)));
    });
  }

  /** Make the parts of the detail of a layer; update(arrays) fills them. */
  function makeDetail(n) {
    const layer = app.network.layers[n];
    const backward = way() === "backward";
    const say = app.say;
    let arrays = null;
    let images = []; // the arrays of each image, if several pass together
    const step = (by) => {
      const target = chosenArray();
      const index = chosenIn(state, target);
      if (index.length === 3) choose([index[0], index[1], (index[2] + by + target.shape[2]) % target.shape[2]]);
    };
    const writes = Boolean(app.network.case); // it has few numbers, and each is one of the learner's own
    const image = new MapView(writes ? { title: "x, what the network is given", brief: "x", writes } : { title: "the image", brief: "" });
    image.element.dataset.part = "image";
    const before = new MapView({
      title: backward ? "dx, the gradient by the layer's input" : "the layer's input", brief: backward ? "dx" : "input", say,
      chosen: backward ? (r, c) => pick(before, r, c) : null, channelBy: backward ? step : null, writes,
    });
    const after = new MapView({
      title: backward ? "dy, the gradient by the layer's result" : "the layer's result", brief: backward ? "dy" : "result", say,
      chosen: backward ? null : (r, c) => pick(after, r, c), channelBy: backward ? null : step, writes,
    });
    for (const [name, map] of Object.entries({ image, before, after })) map.element.dataset.map = name;
    (backward ? before : after).element.classList.add("chosen");
    const pickers = make("div", { class: "controls" });
    const strips = make("div", { class: "strips" });
    const panel = make("div", { class: "panel", "data-part": "numbers" });
    const heading = make("h2", {}, `${layer.name}: ${layer.class}, ${times(layer.input_shape)} becomes ${times(layer.output_shape)}`);
    const { function: of, note } = app.network.case ?? {};
    const element = make("div", {}, make("div", { class: "place" }, heading, pickers), note ? make("p", { class: "remark" }, `${of}: ${note}`) : "",
      make("div", { class: "detail" }, make("div", { class: "figures" }, image.element, before.element, after.element), panel, strips));

    /** Whether a case is shown whose result is the gradient of a parameter; then that is all that is shown of gradients. */
    const isOfWeights = backward && n === 0 && (app.network.case?.result.part ?? "") in layer.parameters;
    before.element.hidden = isOfWeights;
    pickers.hidden = isOfWeights;

    const chosenArray = () => (backward ? arrays.dx : arrays.y);

    function pick(map, r, c) {
      choose(indexAt(map.array.shape, placeOf(map.array, r, c, map.channel)));
    }

    function choose(index) {
      state.set({ at: index.join(",") });
      const name = nameAt(index);
      const said = titleAt(index);
      say(isHidden(app, keyOf(app, n, name)) ? `${said} is hidden: what do you expect?` : `${said} = ${number(valueAt(chosenArray(), index), chosenArray().data)}`);
    }

    const openedNumber = (found) =>
      (state.get("part") === "" ? suspectedPart(found, layer, chosenArray().data) : Number(state.get("part")) || 0);

    const nameAt = (index) => `${backward ? "dx" : "y"}(${index.join(", ")})`;

    /** Return what a number is called where it is shown. */
    const titleAt = (index) => ownName(app, {
      n, part: backward ? "dx" : "y", shape: chosenArray().shape, index, image: app.pass.description.image,
    }) ?? nameAt(index);

    /** Show everything for the chosen number. */
    function update(given, givenImages) {
      arrays = given;
      images = givenImages;
      const target = chosenArray();
      if (!target) {
        panel.replaceChildren(make("p", { class: "remark" }, "There is no gradient here: nothing before this layer needs one."));
        return;
      }
      const index = chosenIn(state, target);
      const place = offset(target.shape, index);
      const { columns, channels } = asImage(target);
      const channel = place % channels;
      const cell = [Math.floor(place / channels / columns), Math.floor(place / channels) % columns];
      (backward ? before : after).isSecret = isHidden(app, keyOf(app, n, nameAt(index)));
      const found = (backward ? explainInputGradient : explain)(layer, arrays, index, gradientOptions(app, n));
      const source = openedPart(found, openedNumber(found))[1]?.terms.find((term) => term.from)?.from ?? found.sources?.[0];
      const other = source?.length === 3 ? source[2] : 0;
      if (backward) {
        show(before, arrays.dx, channel, cell);
        show(after, arrays.dy, other, null);
      } else {
        show(after, arrays.y, channel, cell);
        show(before, arrays.x, other, null);
        const seen = seenInInput(layer, index);
        before.mark(seen ? [asMark(seen)] : []);
      }
      showImage(channel);
      image.mark(backward ? [] : [asMark(seenInImage(app.network, n, index))]);
      drawPickers(target, index);
      drawStrips(target, index);
      drawPanel(index, found);
    }

    /** Show the image, or the numbers of a case, which are no photograph, in a channel. */
    function showImage(channel) {
      const { x } = app.pass.arrays;
      if (!app.network.case) {
        const title = state.hides("title") ? "" : app.pass.description.title;
        image.show(x, 0, { photo: [1, 3].includes(asImage(x).channels), text: title, brief: title || "the image" });
        return;
      }
      image.element.hidden = n === 0 && !backward; // the layer's input, which is shown beside it, is the same
      const weight = state.get("seek") === "weights" && backward ? chosenWeight(state, layer).index : [];
      show(image, x, Math.min(weight.length === 4 ? weight[2] : channel, asImage(x).channels - 1), null);
    }

    function show(map, array, channel, cell) {
      map.cursor = cell;
      map.marks = [];
      const { channels } = asImage(array);
      if (channels > 1) map.show(array, channel, { text: `channel ${channel} of ${channels}`, brief: `channel ${channel}` });
      else map.show(array, channel, { text: times(array.shape) });
    }

    /** Show the fields in which the chosen number can be typed. */
    function drawPickers(target, index) {
      const names = index.length === 3 ? ["row", "column", "channel"] : index.length === 1 ? ["number"] : index.map((_, axis) => `axis ${axis}`);
      if (!pickers.children.length) {
        // The fields stay as long as the layer does, so that nobody who types in them loses the focus.
        pickers.append(...names.map((name, axis) => make("label", { class: "choice" }, make("span", {}, name), make("input", {
          type: "number", min: 0, max: target.shape[axis] - 1,
          change: () => choose([...pickers.querySelectorAll("input")].map((input, n) => within(input.value, target.shape[n]))),
        }))));
      }
      pickers.querySelectorAll("input").forEach((input, axis) => put(input, index[axis]));
    }

    /** Show the channels of the array in which a number is chosen; a click chooses the same place in another one. */
    function drawStrips(target, index) {
      const { channels } = asImage(target);
      const key = `${app.pass.description.trace} ${scheme()}`;
      if (strips.dataset.key !== key) makeStrips(target, channels);
      strips.dataset.key = key;
      strips.querySelectorAll("button").forEach((button, channel) => button.setAttribute("aria-pressed", String(channel === index[2])));
    }

    function makeStrips(target, channels) {
      if (channels < 2) {
        strips.replaceChildren();
        return;
      }
      const scale = extent(target);
      const buttons = [];
      for (let channel = 0; channel < channels; channel += 1) {
        const small = picture(target, channel, scale);
        const size = 36;
        small.style.cssText = `width:${size}px;height:${Math.max(4, Math.round(size * small.height / small.width))}px;image-rendering:pixelated`;
        small.setAttribute("aria-hidden", "true");
        buttons.push(make("button", {
          type: "button", class: "tile", "aria-label": `channel ${channel}`,
          click: () => choose(chosenIn(state, chosenArray()).with(2, channel)),
        }, small, make("small", {}, String(channel))));
      }
      keepFocus(strips, () => strips.replaceChildren(make("h3", {}, `All ${channels} channels`), make("div", { class: "tiles" }, buttons)));
      requestAnimationFrame(() => { // they have places when they are in the page
        const tops = [...new Set(buttons.map((button) => button.offsetTop))];
        if (tops.length > MOST_ROWS) buttons[0].parentElement.style.maxHeight = `${tops[MOST_ROWS] - tops[0] - 4}px`;
      });
    }

    function drawPanel(index, found) {
      const { image: seen, mode } = app.pass.description;
      panel.dataset.shown = [seen, mode, way(), n, index.join(",")].join(" ");
      const name = nameAt(index);
      const { data } = chosenArray();
      const options = {
        layer, data, name: titleAt(index), who: makerOf(app.network), channels: backward ? null : app.network.case?.channels,
        isCase: Boolean(app.network.case), part: openedNumber(found), setPart: (part) => state.set({ part }), say,
      };
      const again = () => update(arrays, images);
      const loss = isHidden(app, keyOf(app, n, name)) ? "" : ofLoss(index);
      const view = predicting(app, { key: keyOf(app, n, name), name: titleAt(index), value: valueAt(chosenArray(), index), data },
        (stage) => explanationView(loss ? { ...found, parts: [], rounding: null } : found, { ...options, stage }), again);
      const code = codeView(app, layer, "number", backward ? [{ title: name, what: "dx", index }] : numbersOf(layer, index));
      const title = loss ? "The gradient by the logits" : backward ? "The terms that this gradient collects" : "How this number came about";
      const weights = backward ? weightView(app, n, arrays, images, again) : null;
      const measured = backward && !isHidden(app, keyOf(app, n, name)) ? measuredByEngine(app, n ? `${n - 1}.y` : "x", index) : "";
      const parts = [make("h3", {}, title), view, loss, measured, code];
      // A case of an input's gradient has no question about the parameters.
      const isOfDx = app.network.case?.result.part === "dx";
      // What an address leads to stands first, so that nothing else is read in its place.
      const seeksWeights = weights && state.get("seek") === "weights";
      const shown = isOfWeights ? [weights] : seeksWeights ? [weights, ...parts] : [...parts, isOfDx ? remarks() : weights ?? remarks()];
      keepFocus(panel, () => panel.replaceChildren(...shown));
    }

    /** Return how the gradient of the loss comes about, if a case is shown in which this is asked for. */
    function ofLoss(index) {
      const weights = app.network.case?.weights;
      if (!backward || !weights) return "";
      const { image: seen, true: label } = app.pass.description;
      return lossGradientView({
        logits: arrays.y.data, label, weight: weights[Number(seen.split("-")[1])], k: offset(arrays.dx.shape, index),
        got: valueAt(arrays.dx, index), data: arrays.dx.data, who: makerOf(app.network),
      });
    }

    function remarks() {
      const { description } = app.pass;
      const texts = [];
      if (app.network.whole && description.batch > 1) texts.push(`This pass has ${description.batch} images, which always pass together.`);
      else if (description.mode === "training" && description.batch > 1) {
        texts.push(`This pass has ${description.batch} images, because batch normalization takes its statistics from a batch.`);
      }
      if (description.fused && !description.fused.equal) {
        texts.push(`These are the values layer by layer. In prediction, layers run together; the outputs then differ by at most ${short(description.fused.largest, false)}, which is rounding.`);
      }
      return make("div", {}, texts.map((text) => make("p", { class: "remark" }, text)));
    }

    return { n, way: way(), element, update };
  }

  /** Say what the network's outputs mean, the largest first. */
  function drawAnswer() {
    early.textContent = app.pass.description.mode === "prediction" ? unsettled(app.network) : "";
    early.hidden = !early.textContent;
    const { data } = app.pass.arrays[`${app.network.layers.length - 1}.y`];
    const { classes, gives_one_number: isNumber } = app.network;
    const { true: label, label: used, loss, batch } = app.pass.description;
    // Any other single output stands for two classes.
    const shares = data.length === 1 && !isNumber ? asProbabilities(app.network, data) : data;
    if (!isNumber && shares.length !== classes.length) return;
    const order = [...shares.keys()].sort((a, b) => shares[b] - shares[a]).slice(0, 3);
    const named = order.map((n) => `${classes[n]} (${short(shares[n], false)})`).join(", ");
    const known = isNumber ? `The target: ${short(label, false)}` : `The true class: ${classes[label] ?? label}`;
    const chosen = used === label ? "Loss" : isNumber ? `Loss for the target ${short(used, false)}` : `Loss for class ${classes[used] ?? used}`;
    answer.hidden = Boolean(state.get("predict"));
    answer.textContent = `The network's answer: ${isNumber ? short(data[0], false) : named}` +
      `${label === null ? "" : `. ${known}`}${loss === null ? "" : `. ${batch > 1 ? `Mean loss of the ${batch} images of this pass` : chosen}: ${short(Number(loss), false)}`}`;
  }

  function draw() {
    if (!app.pass) return;
    drawRow();
    drawAnswer();
    if (check) check.hidden = way() === "forward";
    drawDetail().catch((error) => {
      if (!error.isOld) app.failed(error);
      // Usually a new pass is on its way; if it fails, nobody looks for numbers that are not there.
      else if (!detail.children.length) detail.append(make("p", { class: "remark" }, "The numbers of this layer are not kept any more."));
    });
  }

  app.watch(draw);
  state.watch((changed) => {
    if (["layer", "at", "way", "part", "theme", "teacher", "weight", "predict", "hide"].some((name) => changed.has(name))) draw();
  });
}

/** Return a name as texts between which a line may end: after each underscore. */
function breakable(name) {
  return name.split(/(?<=_)/).flatMap((part, n) => (n ? [make("wbr"), part] : [part]));
}

/** Return the first channels of an array as one small picture. */
function strip(array, photo = false) {
  const { rows, columns, channels } = asImage(array);
  const seen = photo && [1, 3].includes(channels) ? [photograph(array)] : [];
  if (!seen.length) {
    const scale = extent(array);
    for (let channel = 0; channel < Math.min(channels, STRIP); channel += 1) seen.push(picture(array, channel, scale));
  }
  const across = Math.ceil(Math.sqrt(seen.length));
  const size = Math.floor(96 / across);
  const high = Math.max(3, Math.round(size * Math.min(1, rows / columns)));
  const canvas = make("canvas", { width: across * size, height: Math.ceil(seen.length / across) * high, "aria-hidden": "true" });
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  seen.forEach((one, n) => context.drawImage(one, (n % across) * size, Math.floor(n / across) * high, size - 1, high - 1));
  return canvas;
}
