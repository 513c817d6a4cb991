// Curves of one or two trainings on a canvas, and the same figures as a table.

import { make, number, table } from "./dom.js";

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
    this.table = make("div", { class: "numbers", tabindex: 0, role: "region", "aria-label": `${title} as a table` });
    this.details = make("details", { toggle: () => this.fill() }, make("summary", {}, `${title} as a table`), this.table);
    this.element = make("figure", { class: "figure curve" }, make("figcaption", {}, title), this.canvas, this.legend, this.details);
  }

  /** Show lanes {name: {batches, validation, title}}, and mark the step at which the training is. */
  show(lanes, position) {
    Object.assign(this, { lanes, position });
    this.paint();
    this.fill();
  }

  /** Return the largest step, and the ends of the values. */
  extent() {
    let [steps, low, high] = [1, Infinity, -Infinity];
    for (const { batches, validation } of Object.values(this.lanes)) {
      for (const { rows } of [batches, validation]) {
        for (const row of rows) {
          steps = Math.max(steps, row[0]);
          const value = row[this.column];
          if (value === null) continue;
          low = Math.min(low, value);
          high = Math.max(high, value);
        }
      }
    }
    if (low > high) return [steps, 0, 1];
    if (this.column === 2) return [steps, Math.min(low, 0), 1];
    return [steps, Math.min(0, low), high === low ? high + 1 : high];
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
    const [steps, low, high] = this.extent();
    const x = (step) => MARGIN.left + (step / steps) * (width - MARGIN.left - MARGIN.right);
    const y = (value) => HEIGHT - MARGIN.bottom - ((value - low) / (high - low)) * (HEIGHT - MARGIN.top - MARGIN.bottom);
    this.axes(context, { x, y, steps, low, high, width, colour });
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
    this.name();
  }

  axes(context, { x, y, steps, low, high, width, colour }) {
    context.font = "14px system-ui, sans-serif";
    context.fillStyle = colour("--soft");
    context.strokeStyle = colour("--line");
    context.lineWidth = 1;
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const value of ticks(low, high)) {
      line(context, [[MARGIN.left, y(value)], [width - MARGIN.right, y(value)]]);
      context.fillText(String(value), MARGIN.left - 6, y(value));
    }
    context.textBaseline = "top";
    context.textAlign = "center";
    for (const step of ticks(0, steps).filter(Number.isInteger)) {
      line(context, [[x(step), HEIGHT - MARGIN.bottom], [x(step), HEIGHT - MARGIN.bottom + 5]]);
      context.fillText(String(step), Math.min(x(step), width - 24), HEIGHT - MARGIN.bottom + 8);
    }
  }

  /** Say in words what is drawn. */
  name() {
    const names = Object.entries(this.lanes).map(([name, { title }]) => `${title}: ${STYLES[name].words}`);
    this.legend.textContent = `${names.join(", ")}; thin: each batch before its step; thick with marks: test images. The dotted upright line is the step shown.`;
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
    this.table.replaceChildren(table(`${this.title}; ${chosen.length} of ${steps.length} steps`, headings, rows));
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
