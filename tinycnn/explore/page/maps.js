// Paint a channel of an array, and let a place in it be chosen by pointer or by keyboard.

import { amount, make, short } from "./dom.js";

// Two ends that everybody can tell apart (Wong, "Points of view: color blindness", Nature Methods 8, 2011); in between
// the colour of the paper, which is 0. Signs are marked in the cells as well.
const ENDS = { light: { zero: [250, 250, 247], plus: [178, 75, 0], minus: [0, 90, 160] },
  dark: { zero: [28, 29, 33], plus: [255, 159, 64], minus: [95, 180, 255] } };

/** Return whether the page is "light" or "dark" now, by choice or because the system is. */
export const scheme = () => getComputedStyle(document.documentElement).getPropertyValue("--scheme").trim();

/** Return the colours of the theme that is shown. */
export const palette = () => ENDS[scheme()] ?? ENDS.light;

/** Return an array's (H, W, channels): rows of numbers become one row of pixels. */
export function asImage(array) {
  const { shape } = array;
  if (shape.length === 3) return { rows: shape[0], columns: shape[1], channels: shape[2] };
  const count = shape.reduce((product, length) => product * length, 1);
  const columns = count <= 64 ? count : Math.ceil(Math.sqrt(count));
  return { rows: Math.ceil(count / columns), columns, channels: 1, flat: count };
}

/** Return the place in an array's data of a cell of its picture, or -1 for the empty end of a folded row. */
export function placeOf(array, row, column, channel) {
  const { columns, channels, flat } = asImage(array);
  if (flat === undefined) return (row * columns + column) * channels + channel;
  const place = row * columns + column;
  return place < flat ? place : -1;
}

/** Return the largest absolute value, which gets the full colour; an array of zeros or NaN counts as 1. */
export function extent(array, channel = null) {
  const { channels } = asImage(array);
  const step = channel === null ? 1 : channels;
  let most = 0;
  for (let n = channel ?? 0; n < array.data.length; n += step) {
    const size = Math.abs(array.data[n]);
    if (size > most && size < Infinity) most = size;
  }
  return most || 1;
}

/** Return a small picture of one channel, one pixel for each number. */
export function picture(array, channel, scale = null) {
  const { rows, columns } = asImage(array);
  const canvas = document.createElement("canvas");
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  const colours = palette();
  const full = scale ?? extent(array, channel);
  for (let row = 0, n = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1, n += 4) {
      const place = placeOf(array, row, column, channel);
      const value = place < 0 ? 0 : array.data[place];
      const end = value < 0 ? colours.minus : colours.plus;
      const share = Number.isNaN(value) ? 0 : Math.min(1, Math.abs(value) / full);
      for (let part = 0; part < 3; part += 1) {
        image.data[n + part] = Math.round(colours.zero[part] + (end[part] - colours.zero[part]) * share);
      }
      if (Number.isNaN(value)) image.data.set([255, 0, 255], n);
      image.data[n + 3] = 255;
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/** Return an image of one or three channels as people see it; pixels are numbers from 0 to 1. */
export function photograph(array) {
  const { rows, columns, channels } = asImage(array);
  const canvas = document.createElement("canvas");
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  const full = array.data instanceof Uint8Array ? 1 : 255;
  for (let pixel = 0; pixel < rows * columns; pixel += 1) {
    for (let part = 0; part < 3; part += 1) {
      image.data[4 * pixel + part] = full * array.data[pixel * channels + (channels === 3 ? part : 0)];
    }
    image.data[4 * pixel + 3] = 255;
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/** How large a cell is at most, in pixels, and if numbers are written into cells; and from which size on they are. */
const MOST_CELL = 28;
const MOST_WRITTEN = 56;
const LEAST_WRITTEN = 40;
/** From this share of the full colour on, the colour of the paper is read on it more easily than the ink. */
const IS_DARK = 0.85;

/**
 * A large map of one channel in which a cell can be chosen; with `writes`, few cells are large and have their numbers in
 * them.
 *
 * Arrow keys move by one cell, Page Up and Page Down by a channel, Home and End to the ends of a row. What is chosen is
 * the element's accessible name, and `chosen(row, column)` is called. The caption has one line: `brief`, and what `show` is
 * told; in a narrow place, the end of it is seen when it is pointed at.
 */
export class MapView {
  constructor({ title, brief = title, chosen = null, channelBy = null, say = () => {}, writes = false }) {
    Object.assign(this, { title, brief, chosen, channelBy, say, writes, cursor: null, marks: [], isSecret: false });
    this.canvas = make("canvas", { class: "map" });
    this.caption = make("figcaption");
    this.element = make("figure", { class: "figure" }, this.caption, this.canvas);
    if (chosen) {
      this.canvas.tabIndex = 0;
      this.canvas.setAttribute("role", "application");
      this.canvas.setAttribute("aria-roledescription", "map of numbers");
      this.canvas.addEventListener("pointerdown", (event) => this.point(event));
      this.canvas.addEventListener("keydown", (event) => this.key(event));
    } else this.canvas.setAttribute("role", "img");
  }

  /** Show a channel of an array; `photo` shows the whole image as people see it, `brief` is a shorter `text`. */
  show(array, channel, { photo = false, text = "", brief = text } = {}) {
    Object.assign(this, { array, channel, photo, text, said: brief });
    const { rows, columns } = asImage(array);
    this.rows = rows;
    this.columns = columns;
    this.small = photo ? photograph(array) : picture(array, channel);
    this.paint();
  }

  /** Mark rectangles [row, column, height, width]; they may reach over the edge, where the pads are. */
  mark(marks) {
    this.marks = marks;
    this.paint();
  }

  /** Return the cell [row, column] under the pointer. */
  cellAt(event) {
    const box = this.canvas.getBoundingClientRect();
    const [row, column] = [(event.clientY - box.top) / box.height * this.rows, (event.clientX - box.left) / box.width * this.columns];
    return [Math.max(0, Math.min(this.rows - 1, Math.floor(row))), Math.max(0, Math.min(this.columns - 1, Math.floor(column)))];
  }

  point(event) {
    this.choose(...this.cellAt(event));
  }

  key(event) {
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const [row, column] = this.cursor ?? [0, 0];
    if (event.key in moves) this.choose(row + moves[event.key][0], column + moves[event.key][1]);
    else if (event.key === "Home") this.choose(row, 0);
    else if (event.key === "End") this.choose(row, this.columns - 1);
    else if (event.key === "PageUp" && this.channelBy) this.channelBy(-1);
    else if (event.key === "PageDown" && this.channelBy) this.channelBy(1);
    else return;
    event.preventDefault();
  }

  choose(row, column) {
    const inside = [Math.max(0, Math.min(this.rows - 1, row)), Math.max(0, Math.min(this.columns - 1, column))];
    if (placeOf(this.array, ...inside, this.channel) >= 0) this.chosen(...inside);
  }

  value(row, column) {
    const place = placeOf(this.array, row, column, this.channel);
    return place < 0 ? undefined : this.array.data[place];
  }

  paint() {
    if (!this.array) return;
    const style = getComputedStyle(this.element.isConnected ? this.element : document.documentElement);
    const side = Number.parseFloat(style.getPropertyValue("--map"));
    const cell = Math.max(2, Math.min(this.writes ? MOST_WRITTEN : MOST_CELL, Math.floor(side / Math.max(this.rows, this.columns))));
    const ratio = devicePixelRatio || 1;
    this.canvas.width = this.columns * cell * ratio;
    this.canvas.height = this.rows * cell * ratio;
    this.canvas.style.width = `${this.columns * cell}px`;
    this.canvas.style.height = `${this.rows * cell}px`;
    const context = this.canvas.getContext("2d");
    context.scale(ratio, ratio);
    context.imageSmoothingEnabled = false;
    context.drawImage(this.small, 0, 0, this.columns * cell, this.rows * cell);
    const ink = style.getPropertyValue("--ink").trim();
    if (this.writes && cell >= LEAST_WRITTEN) this.numbers(context, cell, ink, style.getPropertyValue("--paper").trim());
    else if (!this.photo && cell >= 10) this.signs(context, cell, ink);
    const frames = this.cursor ? [...this.marks, [...this.cursor, 1, 1]] : this.marks;
    for (const [row, column, height, width] of frames) {
      this.frame(context, column * cell, row * cell, width * cell, height * cell, style);
    }
    this.caption.textContent = [this.brief, this.said].filter(Boolean).join(": ");
    this.caption.title = this.text ? `${this.title}: ${this.text}` : this.title;
    this.canvas.setAttribute("aria-label", this.name());
  }

  /** Write the numbers into the cells; one that is hidden is left out. */
  numbers(context, cell, ink, paper) {
    const full = extent(this.array, this.channel);
    Object.assign(context, { font: `${Math.floor(cell / 3.6)}px system-ui, sans-serif`, textAlign: "center", textBaseline: "middle" });
    for (let row = 0; row < this.rows; row += 1) {
      for (let column = 0; column < this.columns; column += 1) {
        const value = this.value(row, column);
        const isHidden = this.isSecret && this.cursor?.[0] === row && this.cursor[1] === column;
        if (value === undefined || isHidden) continue;
        context.fillStyle = Math.abs(value) >= IS_DARK * full ? paper : ink;
        context.fillText(short(value, false), (column + 0.5) * cell, (row + 0.5) * cell, cell - 4);
      }
    }
  }

  /** Mark negative numbers with a bar, so that the sign does not depend on the colour. */
  signs(context, cell, ink) {
    context.fillStyle = ink;
    for (let row = 0; row < this.rows; row += 1) {
      for (let column = 0; column < this.columns; column += 1) {
        if (this.value(row, column) < 0) context.fillRect(column * cell + cell * 0.35, row * cell + cell / 2 - 0.5, cell * 0.3, 1);
      }
    }
  }

  /** Draw a frame between two lines in the colour of the paper, so that it is seen on any ground. */
  frame(context, x, y, width, height, style) {
    for (const [colour, line] of [["--paper", 5], ["--mark", 2.5]]) {
      context.strokeStyle = style.getPropertyValue(colour).trim();
      context.lineWidth = line;
      context.strokeRect(x - 1, y - 1, width + 2, height + 2);
    }
  }

  /** Return what a screen reader says of the map. */
  name() {
    const size = `${this.text ? `${this.text}, ` : ""}${amount(this.rows, "row")} and ${amount(this.columns, "column")}`;
    if (!this.cursor) return `${this.title}: ${size}`;
    const [row, column] = this.cursor;
    return `${this.title}: ${size}. Row ${row}, column ${column}: ${this.isSecret ? "hidden" : short(this.value(row, column))}`;
  }
}
