// A surface to draw on, with mouse, touch or pen, and cell by cell with the keyboard.

import { amount, make } from "./dom.js";

/** About how many pixels the longer side of the surface has; more would make each answer slower. */
const SIDE = 140;
/** Moves as they come; those of the other kind wait for the screen's next picture. */
const MOVE = "onpointerrawupdate" in window ? "pointerrawupdate" : "pointermove";
const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

/**
 * A black surface with the aspect of the network's images; each of their pixels is a cell.
 *
 * `changed(isEnd, where)` is called after every change: whether a stroke has ended, and with the keyboard where it was,
 * in words. `say(text)` speaks.
 */
export class Surface {
  constructor([rows, columns, channels], { changed, say }) {
    Object.assign(this, { rows, columns, channels, changed, say });
    this.cell = Math.max(1, Math.floor(SIDE / Math.max(rows, columns)));
    this.thickness = Math.max(1, Math.round(2 * Math.max(rows, columns) / 28));
    this.colour = "#ffffff";
    this.erases = false;
    this.cursor = [Math.floor(rows / 2), Math.floor(columns / 2)];
    this.canvas = make("canvas", {
      class: "surface", width: columns * this.cell, height: rows * this.cell, tabindex: 0, role: "application",
      "aria-roledescription": "drawing grid", "aria-describedby": "surface-keys",
      "aria-label": `Drawing for the network, ${amount(rows, "row")} and ${amount(columns, "column")}`,
      pointerdown: (event) => this.down(event), [MOVE]: (event) => this.move(event),
      pointerup: (event) => this.up(event), pointercancel: (event) => this.up(event),
      keydown: (event) => this.key(event), focus: () => this.placeCursor(),
    });
    this.mark = make("span", { class: "surface-cursor", "aria-hidden": "true" });
    this.element = make("div", { class: "surface-box" }, this.canvas, this.mark);
    // The pixels are read after every stroke, which is slow if they lie on the graphics card.
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.context.lineCap = this.context.lineJoin = "round";
    this.blank();
  }

  /** Make everything black. */
  clear() {
    this.blank();
    this.say("The surface is empty.");
    this.changed(true);
  }

  blank() {
    this.context.fillStyle = "#000000";
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
  }

  /** Return the pixels, row by row: one byte each for grey, or three. */
  pixels() {
    const { data } = this.context.getImageData(0, 0, this.canvas.width, this.canvas.height);
    const bytes = new Uint8Array(data.length / 4 * this.channels);
    for (let from = 0, to = 0; from < data.length; from += 4) {
      for (let part = 0; part < this.channels; part += 1) bytes[to++] = data[from + part];
    }
    return bytes;
  }

  // Pointers -------------------------------------------------------------------------------------------------------

  down(event) {
    if (this.pointer !== undefined || event.button > 0 && event.button !== 5) return; // 5: a pen's eraser
    event.preventDefault();
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    this.pointer = event.pointerId;
    this.wipes = this.erases || event.button === 5;
    this.last = this.at(event);
    this.line(this.last);
    this.changed(false);
  }

  move(event) {
    if (event.pointerId !== this.pointer) return;
    const passed = event.getCoalescedEvents?.() ?? [];
    for (const one of passed.length ? passed : [event]) this.line(this.at(one));
    this.changed(false);
  }

  up(event) {
    if (event.pointerId !== this.pointer) return;
    this.pointer = undefined;
    this.changed(true);
  }

  /** Return where on the surface an event happened. */
  at(event) {
    const box = this.canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width * this.canvas.width, (event.clientY - box.top) / box.height * this.canvas.height];
  }

  /** Draw from the last point to this one. */
  line(to) {
    const { context } = this;
    context.strokeStyle = this.wipes ? "#000000" : this.colour;
    context.lineWidth = this.thickness * this.cell;
    context.beginPath();
    context.moveTo(...this.last);
    context.lineTo(...to);
    context.stroke();
    this.last = to;
  }

  // Keys -----------------------------------------------------------------------------------------------------------

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in MOVES) {
      const [down, right] = MOVES[event.key];
      this.cursor = [clamp(this.cursor[0] + down, this.rows), clamp(this.cursor[1] + right, this.columns)];
      if (event.shiftKey) this.paint(this.erases);
    } else if (event.key === " " || event.key === "Enter") this.paint(this.erases);
    else if (event.key === "Delete" && event.shiftKey) {
      this.clear();
      event.preventDefault();
      return;
    } else if (event.key === "Delete" || event.key === "Backspace") this.paint(true);
    else return;
    event.preventDefault();
    this.placeCursor();
    this.say(this.where());
  }

  /** Fill the cells under the cursor: a square as wide as the pen. */
  paint(wipes) {
    const side = Math.max(1, Math.round(this.thickness));
    const [top, left] = this.cursor.map((at) => (at - Math.floor((side - 1) / 2)) * this.cell);
    this.context.fillStyle = wipes ? "#000000" : this.colour;
    this.context.fillRect(left, top, side * this.cell, side * this.cell);
    this.changed(true, this.where());
  }

  /** Return in words where the cursor is and what is there. */
  where() {
    const [row, column] = this.cursor;
    const middle = Math.floor(this.cell / 2);
    const { data } = this.context.getImageData(column * this.cell + middle, row * this.cell + middle, 1, 1);
    const strongest = Math.max(data[0], data[1], data[2]);
    return `Row ${row}, column ${column}: ${strongest === 0 ? "empty" : `painted, ${strongest} of 255`}`;
  }

  /** Put the frame around the cell of the cursor; it is seen while the surface has the focus. */
  placeCursor() {
    const [row, column] = this.cursor;
    const { style } = this.mark;
    style.left = `${column / this.columns * 100}%`;
    style.top = `${row / this.rows * 100}%`;
    style.width = `${100 / this.columns}%`;
    style.height = `${100 / this.rows}%`;
  }
}

function clamp(at, length) {
  return Math.max(0, Math.min(length - 1, at));
}
