// A convolution as a matrix product: the windows as rows, the kernel as a column, and where each number comes from.

import { difference } from "./arithmetic/explanation.js";
import { matrixOf } from "./arithmetic/index.js";
import { amount, choice, keepFocus, make, number, short, span, times } from "./dom.js";
import { isHidden, keyOf } from "./guess.js";
import { MapView } from "./maps.js";
import { isMore, makerOf } from "./numbers.js";
import { offset } from "./safetensors.js";
import { chosenIn, layerNumber, layerPass, ownName, within } from "./selection.js";

/** How many rows and columns of the matrix are shown at once. */
const ROWS = 9;
const COLUMNS = 9;

const isConvolution = ({ kind }) => ["Conv2D", "DepthwiseConv2D"].includes(kind);

/** Build the view; `app` is described in main.js. */
export function mount(section, app) {
  const { state } = app;
  const controls = make("div", { class: "controls" });
  const heading = make("h2");
  const text = make("p", { class: "remark" });
  const places = make("p", { role: "status", class: "places" });
  const pagers = make("div", { class: "controls" });
  const product = make("div", { class: "numbers product" });
  const map = new MapView({ title: "the layer's input", brief: "input", say: app.say, chosen: (r, c) => state.set({ pixel: `${r},${c}` }), channelBy: (by) => moveChannel(by) });
  const around = make("div", { class: "im2col" }, map.element, make("div", {}, pagers, product, places));
  section.append(heading, controls, text, around);
  map.canvas.addEventListener("pointermove", (event) => light(map.cellAt(event)));
  map.canvas.addEventListener("pointerleave", () => light(now && chosenPixel()));
  let now = null; // what is drawn: {n, layer, arrays, index, matrix, first, column, channel}

  /** Return the pixel that the address names, as [row, column], or null. */
  function chosenPixel() {
    const [r, c] = state.get("pixel").split(",").map(Number);
    const [H, W] = now.layer.input_shape;
    return state.get("pixel") !== "" && r >= 0 && r < H && c >= 0 && c < W ? [r, c] : null;
  }

  /** Return the convolution to show: the chosen layer, or the first one that is a convolution. */
  function convolution() {
    const { layers } = app.network;
    const n = layerNumber(app);
    return isConvolution(layers[n]) ? n : layers.findIndex(isConvolution);
  }

  async function show() {
    if (!app.pass || state.get("view") !== "matrix") return;
    const n = convolution();
    around.hidden = n < 0;
    if (n < 0) {
      heading.textContent = "The matrix of a convolution";
      text.textContent = "This network has no convolution, so there is nothing to show here.";
      return;
    }
    const pass = app.pass;
    const held = await app.layerArrays(n);
    if (pass !== app.pass || n !== convolution()) return;
    const layer = app.network.layers[n];
    const arrays = layerPass(pass, n, held);
    const index = chosenIn(state, arrays.y);
    const matrix = matrixOf(layer, index[2]);
    const row = matrix.rowOf(index);
    now = {
      n, layer, arrays, index, matrix, row,
      first: row - (row % ROWS), column: Math.floor(within(state.get("column"), matrix.columns) / COLUMNS) * COLUMNS,
      channel: matrix.channels[0] + within(state.get("part"), matrix.channels[1] - matrix.channels[0]),
    };
    heading.textContent = `${layer.name} as a matrix product`;
    text.textContent = `im2col copies ${matrix.rows === 1 ? "the only window" : `each of the ${matrix.rows} windows`} into a row of ${amount(matrix.columns, "number")}, and filter ${index[2]} is a column: `
      + `(${matrix.rows}×${matrix.columns}) @ (${matrix.columns}×1) = (${matrix.rows}×1). ${matrix.rows === 1 ? "This is" : "These are"} the result, ${times(layer.output_shape.slice(0, 2))}. `
      + "Hover or focus a row, and its window lights up in the map; hover a pixel of the map, or go there with the arrow keys, and all cells that hold it light up.";
    drawControls();
    map.cursor = chosenPixel();
    map.marks = [];
    map.show(arrays.x, now.channel, { text: `channel ${now.channel} of ${layer.input_shape[2]}`, brief: `channel ${now.channel}` });
    keepFocus(pagers, drawPagers);
    keepFocus(product, drawProduct);
    lightRow(null);
    light(chosenPixel());
    product.dataset.shown = [n, index.join(","), now.column].join(" ");
  }

  function drawControls() {
    const { n, index, layer, matrix, channel } = now;
    const layers = app.network.layers.map((one, k) => [String(k), one.name]).filter(([k]) => isConvolution(app.network.layers[k]));
    const filters = Array.from({ length: layer.output_shape[2] }, (_, f) => [String(f), String(f)]);
    const [from, to] = matrix.channels;
    const channels = Array.from({ length: to - from }, (_, c) => [String(c), String(from + c)]);
    keepFocus(controls, () => controls.replaceChildren(
      choice("Layer", layers, String(n), (k) => state.set({ layer: k, at: "", part: "", column: "", pixel: "" })),
      choice("Filter", filters, String(index[2]), (f) => state.set({ at: [index[0], index[1], f].join(","), part: "", column: "" })),
      choice("Channel in the map", channels, String(channel - from), (c) => state.set({ part: c }))));
  }

  function moveChannel(by) {
    const [from, to] = now.matrix.channels;
    state.set({ part: (now.channel - from + by + to - from) % (to - from) });
  }

  /** Show the buttons that turn the pages of rows and columns. */
  function drawPagers() {
    const { matrix, first, column, index } = now;
    const pager = (what, from, count, most, go) => {
      if (count <= most) return [];
      const to = Math.min(count, from + most);
      const turn = (at) => {
        go(at);
        app.say(`${span(what, at, Math.min(count, at + most) - 1)} of ${count}`);
      };
      return [make("span", {}, `${span(what, from, to - 1)} of ${count}`),
        make("button", { type: "button", "aria-disabled": String(from === 0), click: () => turn(from - most) }, `Earlier ${what}s`),
        make("button", { type: "button", "aria-disabled": String(to === count), click: () => turn(from + most) }, `Later ${what}s`)];
    };
    pagers.replaceChildren(
      ...pager("row", first, matrix.rows, ROWS, (row) => state.set({ at: [...matrix.positionOf(row), index[2]].join(",") })),
      ...pager("column", column, matrix.columns, COLUMNS, (at) => state.set({ column: at })));
  }

  const cellOf = (value, data, attributes) =>
    make("td", { ...attributes, class: value < 0 ? "minus" : value > 0 ? "plus" : "", title: number(value, data) }, short(value));

  /** Return the result of a row: {at, value, right, isWrong}, with what is right in double precision. */
  function resultOf(row) {
    const { arrays, index, matrix } = now;
    const at = [...matrix.positionOf(row), index[2]];
    const array = arrays.z ?? arrays.y;
    const value = array.data[offset(array.shape, at)];
    let right = arrays.w.bias ? arrays.w.bias.data[index[2]] : 0;
    let size = Math.abs(right);
    for (let k = 0; k < matrix.columns; k += 1) {
      const source = matrix.sourceOf(row, k);
      const product = source ? arrays.x.data[offset(arrays.x.shape, source)] * matrix.weightOf(arrays.w.kernel, k) : 0;
      right += product;
      size += Math.abs(product);
    }
    return { at, value, data: array.data, right, isWrong: isMore(difference(value, right), size, array.data) };
  }

  /** Return a mark for the chosen row, or else for the first row, whose result is not its sum. */
  function markOf(results) {
    const wrong = results.filter(({ isWrong }) => isWrong);
    const { at, value, data, right } = wrong.find(({ row }) => row === now.row) ?? wrong[0] ?? {};
    if (!at) return "";
    const own = ownName(app, { n: now.n, part: "y", shape: now.arrays.y.shape, index: at, image: app.pass.description.image });
    const added = now.arrays.w.bias ? " plus the bias" : "";
    const others = wrong.length > 1 ? ` ${wrong.length} of the ${results.length} results on this page are not their sums.` : "";
    return make("p", { class: "error" }, `✗ ${makerOf(app.network)} gives ${number(value, data)} for window (${at.slice(0, 2).join(", ")})${own ? `, ${own}` : ""}; `
      + `its row times the column${added} is ${number(right, data)}.${others}`);
  }

  /** Show the page of the matrix, the kernel's column and the results. */
  function drawProduct() {
    const { n, layer, arrays, index, matrix, first, column, row: chosen } = now;
    const [rows, columns] = [Math.min(matrix.rows, first + ROWS), Math.min(matrix.columns, column + COLUMNS)];
    const taps = Array.from({ length: columns - column }, (_, k) => column + k);
    const nameOf = (k) => matrix.tapOf(k).slice(0, matrix.channels[1] - matrix.channels[0] > 1 ? 3 : 2).join(",");
    const seen = []; // the results that may be seen
    const result = (row) => {
      const found = resultOf(row);
      const { at, value, data, isWrong } = found;
      if (row === chosen && isHidden(app, keyOf(app, n, `y(${at.join(", ")})`))) return make("td", { class: "result" }, "?");
      seen.push({ ...found, row });
      const look = isWrong ? "error" : value < 0 ? "minus" : "plus";
      return make("td", { class: `result ${look}`, title: number(value, data) }, `${isWrong ? "✗ " : ""}${short(value)}`);
    };
    const body = [];
    for (let row = first; row < rows; row += 1) {
      const at = matrix.positionOf(row);
      const cells = taps.map((k) => {
        const source = matrix.sourceOf(row, k);
        if (!source) return make("td", { class: "pad", "data-column": k }, "pad");
        return cellOf(arrays.x.data[offset(arrays.x.shape, source)], arrays.x.data, { "data-column": k });
      });
      const button = make("button", {
        type: "button", "aria-pressed": String(row === chosen), "aria-label": `window (${at.join(", ")})`,
        click: () => {
          state.set({ at: [...at, index[2]].join(",") });
          app.say(`Window (${at.join(", ")}) is chosen.`);
        },
        focus: () => lightRow(row), blur: () => lightRow(null),
      }, `(${at.join(", ")})`);
      body.push(make("tr", { "data-row": row, pointerenter: () => lightRow(row), pointerleave: () => lightRow(null) },
        make("th", { scope: "row" }, button), cells, result(row)));
    }
    const bias = arrays.w.bias ? make("p", {}, `Each result is the sum of its row times the column, plus the bias ${number(arrays.w.bias.data[index[2]], arrays.w.bias.data, true)}`
      + `${layer.activation && layer.activation.name !== "linear" ? `; the activation ${layer.activation.name} comes after that` : ""}.`) : "";
    product.replaceChildren(make("table", {},
      make("caption", {}, `Rows: windows; columns: taps (row, column${matrix.channels[1] - matrix.channels[0] > 1 ? ", channel" : ""}) of the kernel`),
      make("thead", {},
        make("tr", {}, make("th", { scope: "row" }, "window, tap"), taps.map((k) => make("th", { scope: "col" }, nameOf(k))), make("th", { scope: "col", class: "result" }, "result")),
        make("tr", { class: "kernel" }, make("th", { scope: "row" }, "kernel"), taps.map((k) => cellOf(matrix.weightOf(arrays.w.kernel, k), arrays.w.kernel.data, { "data-column": k })), make("td", {}))),
      make("tbody", {}, body)), bias, markOf(seen));
  }

  /** Light up the window of a row in the map; without one, that of the chosen row. */
  function lightRow(row) {
    const { matrix, layer, row: chosen } = now;
    const [i, j] = matrix.positionOf(row ?? chosen);
    const { size, strides, pads, dilation } = layer.window;
    const reach = (axis, at) => {
      const from = at * strides[axis] - pads[2 * axis];
      return [from, from + (size[axis] - 1) * dilation[axis]];
    };
    for (const line of product.querySelectorAll("tr[data-row]")) line.classList.toggle("lit", Number(line.dataset.row) === (row ?? chosen));
    map.mark([[i * strides[0] - pads[0], j * strides[1] - pads[2], (size[0] - 1) * dilation[0] + 1, (size[1] - 1) * dilation[1] + 1]]);
    if (row !== null) app.say(`Window (${i}, ${j}): ${span("row", ...reach(0, i))} and ${span("column", ...reach(1, j))} of the input.`);
  }

  /** Light up all cells that hold a pixel [row, column] of the channel in the map; null: none. */
  function light(pixel) {
    if (!now) return;
    for (const cell of product.querySelectorAll("td.holds")) cell.classList.remove("holds");
    if (!pixel) {
      places.textContent = "";
      return;
    }
    const { matrix, channel } = now;
    const found = matrix.rowsWith(...pixel);
    let shown = 0;
    for (const { row, columns } of found) {
      const column = columns[channel - matrix.channels[0]];
      const cell = product.querySelector(`tr[data-row="${row}"] td[data-column="${column}"]`);
      cell?.classList.add("holds");
      shown += cell ? 1 : 0;
    }
    const windows = found.slice(0, 12).map(({ row }) => `(${matrix.positionOf(row).join(", ")})`).join(", ");
    places.textContent = `Pixel (${pixel.join(", ")}) stands in ${amount(found.length, "row")} of the matrix`
      + `${found.length ? `: ${windows}${found.length > 12 ? " and more" : ""}. ${shown} of them ${shown === 1 ? "is" : "are"} on this page, marked with ●` : ""}. `;
    if (found.length && !shown) places.append(make("button", { type: "button", click: () => goTo(found[0], channel) }, "Go to the first of them"));
  }

  /** Turn to the page of a cell, given its row and its columns, of which each channel has one. */
  function goTo({ row, columns }, channel) {
    const { matrix, index } = now;
    state.set({ at: [...matrix.positionOf(row), index[2]].join(","), column: columns[channel - matrix.channels[0]] });
  }

  const draw = () => show().catch((error) => error.isOld || app.failed(error));
  app.watch(draw);
  state.watch((changed) => {
    if (["view", "layer", "at", "part", "column", "pixel", "theme", "teacher", "predict"].some((name) => changed.has(name))) draw();
  });
}
