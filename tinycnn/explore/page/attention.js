// Where the network looks in the image that is shown: saliency, occlusion and Grad-CAM.

import { amount, choice, keepFocus, make, number } from "./dom.js";
import { MapView, photograph } from "./maps.js";

const WAYS = [
  ["saliency", "saliency: the gradient by each pixel"],
  ["occlusion", "occlusion: what is lost when a part is hidden"],
  ["gradcam", "Grad-CAM: which cells of a layer speak for the class"],
];
const WAYS_TO_A_NUMBER = [...WAYS.slice(0, 2), ["gradcam", "Grad-CAM: which cells of a layer make the number larger"]];

/** Return the part of the view about where the network looks. */
export function attention(app) {
  return new Attention(app).element;
}

class Attention {
  constructor(app) {
    this.app = app;
    this.asked = 0;
    Object.assign(this, { way: "saliency", label: "", layer: "" });
    this.controls = make("div", { class: "tools" });
    this.text = make("p", { class: "remark" });
    this.value = make("p", { class: "numbers" });
    this.map = new MapView({ title: "Strength", chosen: (row, column) => this.choose(row, column) });
    this.over = make("canvas", { class: "map", role: "img" });
    this.figures = make("div", { class: "figures", hidden: true },
      make("figure", { class: "figure" }, make("figcaption", {}, "Over the image"), this.over), this.map.element);
    this.element = make("section", { "aria-label": "Where it looks" }, make("h2", {}, "Where it looks"),
      make("p", { class: "remark" }, "In the image that is chosen at the top of the page."), this.controls, this.value, this.figures, this.text);
    this.fill([]);
    app.state.watch((names) => {
      if (names.has("theme") && this.map.array) this.map.show(this.map.array, 0, { text: this.map.text });
    });
  }

  /** Fill the controls; `layers` are those on which Grad-CAM can be made. */
  fill(layers) {
    const { network } = this.app;
    const { gives_one_number: isNumber } = network;
    const parts = [choice("Way", isNumber ? WAYS_TO_A_NUMBER : WAYS, this.way, (way) => { this.way = way; })];
    if (!isNumber) {
      const classes = [["", "the most probable one"], ...network.classes.map((name, n) => [String(n), name])];
      parts.push(choice("For the class", classes, this.label, (label) => { this.label = label; }));
    }
    if (layers.length) {
      const known = [["", "the last one that fits"], ...layers.map((n) => [String(n), `${n}: ${network.layers[n].name}`])];
      parts.push(choice("Layer for Grad-CAM", known, this.layer, (layer) => { this.layer = layer; }));
    }
    this.show = make("button", { type: "button", click: () => this.ask() }, "Show");
    keepFocus(this.controls, () => this.controls.replaceChildren(...parts, this.show));
  }

  async ask() {
    this.asked += 1;
    const mine = this.asked;
    const image = this.app.state.get("image");
    const query = new URLSearchParams({ way: this.way, image, label: this.label, layer: this.way === "gradcam" ? this.layer : "" });
    this.value.textContent = "Computing …";
    try {
      const found = await this.app.arraysOf(this.app.api(`/api/pictures/looking?${query}`));
      if (mine === this.asked) this.draw(found);
    } catch (error) {
      if (mine !== this.asked) return;
      this.figures.hidden = true;
      this.value.textContent = error.message;
      this.app.say(error.message);
    }
  }

  draw({ description, arrays }) {
    const { grid, label, layers, text, title, is_highest: isHighest } = description;
    if (layers) this.fill(layers);
    const place = strongest(arrays.map.data);
    const name = `class ${this.app.network.classes[label] ?? label}${isHighest ? " (its first choice)" : ""}`;
    const said = `${title}, ${label === null ? "the network's number" : name}: ${grid[0]} by ${amount(grid[1], "cell")}, the strongest is `
      + `${number(arrays.map.data[place], arrays.map.data)} at row ${Math.floor(place / grid[1])}, column ${place % grid[1]}.`;
    this.value.textContent = said;
    this.text.textContent = text;
    this.figures.hidden = false;
    this.map.cursor = null;
    this.map.show({ shape: [...grid, 1], data: arrays.map.data }, 0, { text: `${grid[0]}×${amount(grid[1], "cell")}` });
    this.lay(photograph(arrays.image), arrays.map, grid);
    this.over.setAttribute("aria-label", said);
    this.app.say(said);
  }

  /** Lay the map over the image: the stronger a cell is, the more of it is covered; a cross marks negative ones. */
  lay(image, { data }, [rows, columns]) {
    const scale = Math.max(1, Math.floor(336 / Math.max(image.width, image.height)));
    this.over.width = image.width * scale;
    this.over.height = image.height * scale;
    const context = this.over.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(image, 0, 0, this.over.width, this.over.height);
    const [height, width] = [this.over.height / rows, this.over.width / columns];
    const most = Math.abs(data[strongest(data)]) || 1;
    data.forEach((value, place) => {
      const [top, left] = [Math.floor(place / columns) * height, (place % columns) * width];
      context.fillStyle = `rgb(255 140 40 / ${Math.min(0.85, Math.max(0, value / most))})`;
      if (value > 0) context.fillRect(left, top, width, height);
      else if (value < -0.05 * most) {
        context.strokeStyle = "#5ab4ff";
        context.beginPath();
        context.moveTo(left + 0.3 * width, top + 0.3 * height);
        context.lineTo(left + 0.7 * width, top + 0.7 * height);
        context.stroke();
      }
    });
  }

  choose(row, column) {
    this.map.cursor = [row, column];
    this.map.paint();
    this.app.say(`Row ${row}, column ${column}: ${number(this.map.value(row, column), this.map.array.data)}`);
  }
}

/** Return the place of the largest value. */
function strongest(data) {
  let best = 0;
  data.forEach((value, place) => {
    if (value > data[best]) best = place;
  });
  return best;
}
