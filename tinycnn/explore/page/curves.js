// Curves of one or two trainings on a canvas, and the same figures as a table.

import { amount, choice, make, number, table } from "./dom.js";

/** How many steps the table names; the canvas shows all that there are. */
const MOST_LINES = 24;
const HEIGHT = 220;
const MARGIN = { left: 62, right: 10, top: 10, bottom: 30 };
/** Lines differ in colour, dash and mark, so that they can be told apart without colour. */
const STYLES = {
  main: { colour: "--accent", dash: [], mark: "disc", words: "solid line" },
  fork: { colour: "--plus", dash: [7, 5], mark: "square", words: "dashed line" },
};

/** A curve as the server sends it: rows [step, loss, accuracy], of which every second is dropped if there are many. */
export class Curve {
  constructor({ stride, rows }) {
    this.stride = stride;
    this.rows = rows.slice();
  }

  /** Add what came since; what is known already changes nothing. */
  add({ stride, rows }) {
    if (stride > this.stride) {
      this.stride = stride;
      this.rows = this.rows.filter(([step]) => step % stride === 0);
    }
    const last = this.rows.at(-1)?.[0] ?? -1;
    this.rows.push(...rows.filter(([step]) => step > last && step % this.stride === 0));
  }

  /** Forget what came after a step. */
  cut(step) {
    this.rows = this.rows.filter(([at]) => at <= step);
  }
}

/** What the axis of a loss can show. */
const RANGES = [["most", "most values"], ["all", "all values"], ["log", "all values, logarithmic"]];
/** The axis of most values ends at this share of them, and shows the first ones too unless they are so many times larger. */
const SHARE = 0.95;
const FAR = 20;
/** So few values have no usual size yet, and all are shown. */
const FEW = 20;
/** Values up to so many times that end widen the axis; it leaves out what is above. */
const SLACK = 1.5;

/** Return how many of some values an axis that shows most of them leaves out at its top, and where it ends. */
export function robust(values, first) {
  const sorted = Float64Array.from(values).sort();
  if (!sorted.length) return { end: 1, above: 0, largest: 1 };
  const largest = sorted.at(-1);
  const usual = sorted[Math.min(sorted.length - 1, Math.floor(SHARE * sorted.length))];
  const wanted = SLACK * Math.max(usual, ...first.filter((value) => value <= FAR * usual));
  if (!(largest > wanted) || sorted.length <= FEW) return { end: largest, above: 0, largest };
  return { end: wanted, above: sorted.length - sorted.findLastIndex((value) => value <= wanted) - 1, largest };
}

/** Return a mark of an axis as a text that has room beside it: with an exponent where there are many digits. */
export function markText(value) {
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e5 || size < 1e-3)) return value.toExponential().replace("e+", "e").replace(/-/g, "−");
  return String(value).replace("-", "−");
}

/** Return the powers of ten between two numbers as marks of an axis, at most seven. */
export function powers(low, high) {
  const [from, to] = [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)];
  const by = Math.ceil((to - from + 1) / 7) || 1;
  const marks = [];
  for (let n = from; n <= to; n += by) marks.push(Number(`1e${n}`));
  return marks.length > 1 ? marks : ticks(low, high).filter((value) => value > 0);
}

/** Return three to six round numbers between two numbers, as marks of an axis. */
export function ticks(low, high) {
  const rough = (high - low) / 4 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const marks = [];
  for (let n = Math.ceil(low / step); n * step <= high + step * 1e-9; n += 1) marks.push(Number((n * step).toPrecision(6)));
  return marks;
}

/** A figure with the curves of one column of the rows: 1 is the loss, 2 the accuracy. */
export class CurveFigure {
  constructor(title, column) {
    Object.assign(this, { title, column, lanes: {}, position: 0 });
    this.canvas = make("canvas", { class: "curves", role: "img" });
    this.legend = make("p", { class: "remark" });
    this.range = "most";
    const range = column === 2 ? "" : choice("The axis shows", RANGES, this.range, (one) => {
      this.range = one;
      this.paint();
    });
    this.table = make("div", { class: "numbers", tabindex: 0, role: "region", "aria-label": `${title} as a table` });
    this.details = make("details", { toggle: () => this.fill() }, make("summary", {}, `${title} as a table`), this.table);
    new ResizeObserver(() => this.paint()).observe(this.canvas); // its pixels are those of its place on the page
    this.element = make("figure", { class: "figure curve" }, make("figcaption", {}, title), this.canvas, this.legend, range, this.details);
  }

  /** Show lanes {name: {batches, validation, title}}, and mark the step at which the training is. */
  show(lanes, position) {
    Object.assign(this, { lanes, position });
    this.paint();
    this.fill();
  }

  /** Return the largest step, the ends of the axis, whether it is logarithmic, and a text on what it leaves out. */
  extent() {
    const curves = Object.values(this.lanes).flatMap(({ batches, validation }) => [batches.rows, validation.rows]);
    const steps = Math.max(1, ...curves.map((rows) => rows.at(-1)?.[0] ?? 0));
    const finite = (rows) => rows.map((row) => row[this.column]).filter(Number.isFinite);
    const values = curves.flatMap(finite);
    const least = (some) => some.reduce((a, b) => Math.min(a, b), Infinity);
    if (!values.length) return { steps, low: 0, high: 1, note: "" };
    if (this.column === 2) return { steps, low: least([0, ...values]), high: 1, note: "" };
    const { end, above, largest } = robust(values, curves.flatMap((rows) => finite(rows).slice(0, 1)));
    const positive = values.filter((value) => value > 0);
    if (this.range === "log" && positive.length) {
      const low = least(positive);
      return { steps, low: largest > low ? low : low / 10, high: largest, isLog: true, note: "" };
    }
    const low = least([0, ...values]);
    if (this.range !== "most" || !above) return { steps, low, high: largest > low ? largest : low + 1, note: "" };
    const text = `The axis shows most values: ${above} of ${values.length} ${above === 1 ? "is" : "are"} above it, at most ${markText(Number(largest.toPrecision(3)))}, and ${above === 1 ? "is" : "are"} drawn at its upper end. `;
    return { steps, low, high: end, note: text };
  }

  paint() {
    const ratio = devicePixelRatio || 1;
    const width = Math.max(280, this.canvas.clientWidth || 520);
    this.canvas.width = width * ratio;
    this.canvas.height = HEIGHT * ratio;
    const context = this.canvas.getContext("2d");
    context.scale(ratio, ratio);
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const { steps, low, high, isLog, note } = this.extent();
    const x = (step) => MARGIN.left + (step / steps) * (width - MARGIN.left - MARGIN.right);
    const along = (value) => (isLog ? Math.log(Math.max(value, low) / low) / Math.log(high / low) : (value - low) / (high - low));
    const y = (value) => HEIGHT - MARGIN.bottom - Math.min(1, along(value)) * (HEIGHT - MARGIN.top - MARGIN.bottom);
    this.axes(context, { x, y, steps, marks: isLog ? powers(low, high) : ticks(low, high), width, colour });
    context.save();
    context.strokeStyle = colour("--mark");
    context.setLineDash([2, 3]);
    line(context, [[x(this.position), MARGIN.top], [x(this.position), HEIGHT - MARGIN.bottom]]);
    context.restore();
    for (const [name, { batches, validation }] of Object.entries(this.lanes)) {
      const { colour: variable, dash, mark } = STYLES[name];
      context.strokeStyle = context.fillStyle = colour(variable);
      const points = ({ rows }) => rows.filter((row) => row[this.column] !== null).map((row) => [x(row[0]), y(row[this.column])]);
      context.setLineDash(dash);
      context.lineWidth = 1;
      context.globalAlpha = 0.6;
      line(context, points(batches));
      context.globalAlpha = 1;
      context.lineWidth = 3;
      line(context, points(validation));
      context.setLineDash([]);
      for (const [left, top] of thinned(points(validation), 40)) {
        context.beginPath();
        if (mark === "disc") context.arc(left, top, 4, 0, 2 * Math.PI);
        else context.rect(left - 4, top - 4, 8, 8);
        context.fill();
      }
    }
    this.name(note);
  }

  axes(context, { x, y, steps, marks, width, colour }) {
    context.font = "14px system-ui, sans-serif";
    context.fillStyle = colour("--soft");
    context.strokeStyle = colour("--line");
    context.lineWidth = 1;
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const value of marks) {
      line(context, [[MARGIN.left, y(value)], [width - MARGIN.right, y(value)]]);
      context.fillText(markText(value), MARGIN.left - 6, y(value));
    }
    context.textBaseline = "top";
    context.textAlign = "center";
    for (const step of ticks(0, steps).filter(Number.isInteger)) {
      line(context, [[x(step), HEIGHT - MARGIN.bottom], [x(step), HEIGHT - MARGIN.bottom + 5]]);
      context.fillText(String(step), Math.min(x(step), width - 24), HEIGHT - MARGIN.bottom + 8);
    }
  }

  /** Say in words what is drawn; `note` is what is said of values that are not. */
  name(note) {
    const names = Object.entries(this.lanes).map(([name, { title }]) => `${title}: ${STYLES[name].words}`);
    this.legend.textContent = `${note}${names.join("; ")}; thin: each batch before its step; thick with marks: test images. The dotted upright line is the step shown.`;
    const now = Object.values(this.lanes).map(({ title, batches, validation }) => {
      const [batch, test] = [batches, validation].map(({ rows }) => rows.findLast((row) => row[0] <= this.position)?.[this.column]);
      return `${title}: batch ${figure(batch)}, test images ${figure(test)}`;
    });
    this.canvas.setAttribute("aria-label", `${this.title} by step, at step ${this.position}. ${now.join("; ")}`);
  }

  /** Fill the table, if somebody looks at it. */
  fill() {
    if (!this.details.open) return;
    const lanes = Object.values(this.lanes);
    const steps = [...new Set(lanes.flatMap(({ batches, validation }) => [...batches.rows, ...validation.rows].map(([step]) => step)))];
    const chosen = thinned(steps.sort((a, b) => a - b), MOST_LINES);
    const headings = ["step", ...lanes.flatMap(({ title }) => [`${title}: batch`, `${title}: test`])];
    const rows = chosen.map((step) => [String(step), ...lanes.flatMap(({ batches, validation }) =>
      [batches, validation].map(({ rows: known }) => figure(known.find(([at]) => at === step)?.[this.column])))]);
    this.table.replaceChildren(table(`${this.title}; ${chosen.length} of ${amount(steps.length, "step")}`, headings, rows));
  }
}

/** Return a figure of a curve as a text; a gap where there is none. */
function figure(value) {
  return value === undefined ? "" : number(value === null ? null : Number(value.toPrecision(4)));
}

/** Return at most so many of some items, evenly spread, the last one included. */
export function thinned(items, most) {
  if (items.length <= most) return items;
  return Array.from({ length: most }, (_, n) => items[Math.round((n * (items.length - 1)) / (most - 1))]);
}

function line(context, points) {
  context.beginPath();
  for (const [left, top] of points) context.lineTo(left, top);
  context.stroke();
}
