// Galleries: the worst answers, the confusion table with the images behind each cell, and what excites a filter.

import { amount, choice, make, short, times } from "./dom.js";
import { photograph } from "./maps.js";

/** How wide an image in a gallery is, in pixels of the page. */
const WIDTH = 84;
/** With more classes than this, the commonest confusions are listed in place of a table. */
const MOST_CLASSES = 30;
const KINDS = [
  ["loss", "images with the largest loss"],
  ["sure", "mistakes of which it is surest"],
  ["confusion", "what it confuses with what"],
  ["exciting", "images that excite a filter"],
];

/** Return the part of the view with the galleries. */
export function galleries(app) {
  const sets = Object.entries(app.network.sets ?? {});
  const section = make("section", { "aria-label": "Galleries" }, make("h2", {}, "Find images"));
  if (!sets.length) {
    section.append(make("p", {}, "There is no data. Start the page with --data NAME to look at many images."));
    return section;
  }
  section.append(new Galleries(app, sets).element);
  return section;
}

class Galleries {
  constructor(app, sets) {
    this.app = app;
    this.asked = 0;
    Object.assign(this, { kind: "loss", which: sets[0][0], layer: 0 });
    const { gives_one_number: isNumber } = app.network;
    this.kinds = KINDS.filter(([key]) => !isNumber || key === "loss" || key === "exciting");
    this.filter = make("input", { type: "number", min: 0, value: 0, "aria-label": "Number of the filter" });
    this.layers = choice("Layer", app.network.layers.map(({ name, output_shape: shape }, n) => [n, `${n}: ${name}, ${times(shape)}`]),
      "0", (value) => this.setLayer(Number(value)));
    this.progress = make("progress", { "aria-label": "Images seen", max: 1, value: 0 });
    this.begin = make("button", { type: "button", click: () => this.find() }, "Find");
    this.stop = make("button", {
      type: "button",
      click: () => {
        this.begin.focus(); // this button goes with the work
        app.api("/api/pictures/stop", { method: "POST" }).catch((error) => app.say(error.message));
      },
    }, "Stop");
    this.working = make("div", { class: "tools", hidden: true }, this.progress, this.stop);
    this.result = make("div");
    this.behind = make("div");
    const names = { test: "test image", train: "training image" };
    this.element = make("div", {},
      isNumber ? make("p", { class: "remark" }, "This network gives a number and no classes, so nothing is taken for something else.") : null,
      make("div", { class: "tools" },
        choice("Find", this.kinds, this.kind, (kind) => this.setKind(kind)),
        choice("Among", sets.map(([name, count]) => [name, amount(count, names[name] ?? name)]), this.which, (which) => { this.which = which; }),
        this.layers, this.filter,
        this.begin),
      this.working, this.result, this.behind);
    this.setKind("loss");
    this.setLayer(0);
  }

  setKind(kind) {
    this.kind = kind;
    this.layers.hidden = this.filter.hidden = kind !== "exciting";
  }

  setLayer(layer) {
    this.layer = layer;
    this.filter.max = this.app.network.layers[layer].output_shape.at(-1) - 1;
    this.filter.value = Math.min(Number(this.filter.value), Number(this.filter.max));
  }

  /** Find what the controls say. */
  async find() {
    this.behind.replaceChildren();
    const set = `set=${this.which}`;
    const paths = {
      loss: `worst?by=loss&${set}`, sure: `worst?by=sure&${set}`, confusion: `confusion?${set}`,
      exciting: `exciting?layer=${this.layer}&filter=${Number(this.filter.value)}&${set}`,
    };
    const { kind, filter, layer } = { kind: this.kind, filter: this.filter.value, layer: this.layer };
    const found = await this.wait(paths[kind], this.result);
    if (!found) return;
    const title = kind === "exciting" ? `Images that excite filter ${filter} of layer ${layer} most` : KINDS.find(([key]) => key === kind)[1];
    if (kind === "confusion") this.confusion(found);
    else this.gallery(this.result, title, found);
  }

  /** Ask until the answer is complete, and show how far it is; return null if something else was asked meanwhile. */
  async wait(path, place) {
    this.asked += 1;
    const mine = this.asked;
    try {
      for (let again = "1"; ; again = "0") {
        const found = await this.app.arraysOf(this.app.api(`/api/pictures/${path}&again=${again}`));
        if (mine !== this.asked) return null;
        const { working, done, total } = found.description;
        this.working.hidden = !working;
        if (!working) return found;
        this.progress.value = total ? done / total : 0;
      }
    } catch (error) {
      if (mine !== this.asked) return null;
      this.working.hidden = true;
      place.replaceChildren(make("p", { class: "error" }, error.message));
      this.app.say(error.message);
      return null;
    }
  }

  /** Show images side by side; each opens in the network. */
  gallery(place, title, { description, arrays }) {
    const { items, size } = description;
    const tiles = items.map((item, n) => {
      const [, height, width, channels] = arrays.images.shape;
      const step = height * width * channels;
      const image = photograph({ shape: [height, width, channels], data: arrays.images.data.subarray(n * step, (n + 1) * step) });
      return make("li", {}, make("button", { type: "button", class: "tile", click: () => this.app.show(item.image) },
        thumbnail(image, item.field, size), this.texts(item).map((text) => make("span", {}, text))));
    });
    const none = items.length ? null : make("p", {}, "There are none.");
    place.replaceChildren(make("h3", {}, title), remark(description), none ?? make("ul", { class: "gallery" }, tiles));
    this.app.say(`${title}: ${amount(items.length, "image")}`);
  }

  /** Return the lines under an image. */
  texts({ image, true: label, predicted, p, answer, loss, value, at }) {
    const name = (one) => this.app.network.classes[one] ?? String(one);
    const lines = [image];
    if (this.app.network.gives_one_number) lines.push(`target ${short(label, false)}`);
    else if (predicted === undefined) lines.push(`true: ${name(label)}`);
    else lines.push(predicted === label ? `✓ ${name(label)}` : `✗ ${name(label)} taken for ${name(predicted)}`);
    if (p !== undefined) lines.push(`surety ${p === null ? "NaN" : `${(100 * p).toFixed(2)} %`}`, `loss ${loss === null ? "NaN" : loss.toFixed(3)}`);
    if (answer !== undefined) lines.push(`answer ${answer === null ? "not finite" : short(answer, false)}`, `loss ${loss === null ? "not finite" : short(loss, false)}`);
    if (value !== undefined) lines.push(`${short(value, false)} at (${at.join(", ")})`);
    return lines;
  }

  /** Show the confusion table; each number opens the images behind it. */
  confusion({ description, arrays: { counts } }) {
    const { classes } = description;
    const count = (row, column) => counts.data[row * classes.length + column];
    const cell = (row, column) => make("button", {
      type: "button", click: () => this.cell(row, column, classes),
      "aria-label": `${classes[row]} taken for ${classes[column]}: ${amount(count(row, column), "image")}`,
    }, String(count(row, column)));
    const rows = [...classes.keys()];
    let shown;
    if (classes.length > MOST_CLASSES) {
      const pairs = rows.flatMap((row) => rows.filter((column) => column !== row && count(row, column)).map((column) => [row, column]));
      pairs.sort((a, b) => count(...b) - count(...a));
      shown = make("ol", {}, pairs.slice(0, 40).map(([row, column]) => make("li", {}, `${classes[row]} taken for ${classes[column]}: `, cell(row, column))));
    } else {
      shown = make("table", { class: "confusion" }, make("caption", {}, "Rows: the true class. Columns: what the network takes the image for."),
        make("thead", {}, make("tr", {}, make("td"), classes.map((name) => make("th", { scope: "col", title: name }, name)))),
        make("tbody", {}, rows.map((row) => make("tr", {}, make("th", { scope: "row", title: classes[row] }, classes[row]),
          rows.map((column) => make("td", { class: row === column ? "right" : count(row, column) ? "wrong" : "" },
            count(row, column) ? cell(row, column) : "0"))))));
    }
    const right = rows.reduce((sum, row) => sum + count(row, row), 0);
    const total = counts.data.reduce((sum, one) => sum + one, 0);
    const summary = `${right} of ${total} ${right === 1 ? "is" : "are"} right: ${total ? (100 * right / total).toFixed(2) : "0"} %.`;
    this.result.replaceChildren(make("h3", {}, "What it confuses with what"), remark(description), make("p", { class: "numbers" }, summary),
      make("div", { class: "numbers", tabindex: 0, role: "region", "aria-label": "Confusion table" }, shown));
    this.app.say(summary);
  }

  async cell(row, column, classes) {
    const found = await this.wait(`cell?true=${row}&predicted=${column}&set=${this.which}`, this.behind);
    if (found) this.gallery(this.behind, `${classes[row]} taken for ${classes[column]}`, found);
  }
}

/** Return what is to be known about how the answer came about. */
function remark({ done, total, cut, old }) {
  const seen = cut ? `${done === 1 ? "Only the first" : `Only the first ${done}`} of ${amount(total, "image")} ${done === 1 ? "was" : "were"} looked at, because ${cut}.` : total === 1 ? "The only image was looked at." : `All ${total} images were looked at.`;
  return make("p", { class: "remark" }, old ? `${seen} The weights have changed since; press Find again.` : seen);
}

/** Return an image in the size of a gallery, with a frame around the rectangle that was seen. */
function thumbnail(image, field, [rows, columns]) {
  const scale = Math.max(1, Math.floor(WIDTH / Math.max(image.width, image.height)));
  const canvas = make("canvas", { width: image.width * scale, height: image.height * scale, "aria-hidden": "true" });
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  if (field) {
    const [down, right] = [canvas.height / rows, canvas.width / columns];
    const [top, left, height, width] = field;
    for (const [colour, wide] of [["#000000", 4], ["#ffcf4d", 2]]) {
      context.strokeStyle = colour;
      context.lineWidth = wide;
      context.strokeRect(left * right + 1, top * down + 1, width * right - 2, height * down - 2);
    }
  }
  return canvas;
}
