// What is seen of a network while it trains: its filters, the norms of its gradients, and its worst predictions.

import { amount, make, number, short } from "./dom.js";
import { palette, photograph } from "./maps.js";

/** How many images are asked for at once. */
const AT_ONCE = 100;
/** About how wide a filter is on the page, and how wide all of them may be, in pixels. */
const WIDTH = 44;
const MOST_WIDTH = 576;
/** A cell is at least so large that a bar can mark its sign. */
const LEAST_CELL = 6;

/** Return a figure with the first filters of a layer; the channels of a filter stand one below another. */
export function filterPicture(title, filters) {
  const caption = make("figcaption", {}, title);
  const figure = make("figure", { class: "figure" }, caption);
  if (!filters) {
    caption.textContent = `${title}: the first layer has no filters that are pictures`;
    return figure;
  }
  const { shape: [count, height, width, channels], scale, weights, layer } = filters;
  const shown = Math.min(3, channels);
  const cell = Math.max(LEAST_CELL, Math.round(WIDTH / Math.max(height, width)));
  const canvas = make("canvas", { role: "img", class: "filters" });
  const [across, down] = [width * cell + 4, height * cell + 4];
  const beside = Math.max(1, Math.min(count, Math.floor(MOST_WIDTH / across)));
  canvas.width = beside * across;
  canvas.height = Math.ceil(count / beside) * (shown * down + 6);
  const context = canvas.getContext("2d");
  const colours = palette();
  const ink = getComputedStyle(document.documentElement).getPropertyValue("--ink").trim();
  for (let n = 0; n < count * shown; n += 1) {
    const filter = Math.floor(n / shown);
    const channel = n % shown;
    for (let at = 0; at < height * width; at += 1) {
      const weight = weights[(filter * height * width + at) * channels + channel];
      const left = (filter % beside) * across + (at % width) * cell;
      const top = Math.floor(filter / beside) * (shown * down + 6) + channel * down + Math.floor(at / width) * cell;
      const end = weight < 0 ? colours.minus : colours.plus;
      const share = Math.abs(weight) / 127;
      context.fillStyle = `rgb(${colours.zero.map((zero, part) => Math.round(zero + (end[part] - zero) * share)).join(" ")})`;
      context.fillRect(left, top, cell, cell);
      if (weight < 0) {
        context.fillStyle = ink;
        context.fillRect(left + cell * 0.3, top + cell / 2 - 0.5, cell * 0.4, 1);
      }
    }
  }
  const rows = channels > 1 ? `; one below another: channels 0 to ${shown - 1} of ${channels}` : "";
  const most = number(Number(scale.toPrecision(3)));
  caption.textContent = `${title}: ${count} of ${amount(filters.count, "filter")} ${height}×${width}, −${most} to +${most}`;
  canvas.setAttribute("aria-label", `${caption.textContent}, of ${layer}; a bar marks a negative weight${rows}`);
  figure.title = canvas.getAttribute("aria-label");
  figure.append(canvas);
  return figure;
}

/** Return a table with a row for each layer and the norm of its gradients, as a number and as a bar. */
export function normTable(lanes) {
  const names = lanes[0].norms.map(([name]) => name);
  if (!names.length) return make("p", { class: "remark" }, "There are no gradients before the first batch.");
  const most = Math.max(...lanes.flatMap(({ norms }) => norms.map(([, norm]) => norm ?? 0))) || 1;
  const cells = ({ norms }, name) => {
    const norm = norms.find(([other]) => other === name)?.[1];
    const bar = make("span", { class: "norm" });
    bar.style.width = `${(100 * (norm ?? 0)) / most}%`;
    return [make("td", {}, norm === undefined ? "—" : norm === null ? "NaN" : short(norm, false)), make("td", {}, bar)];
  };
  const titles = lanes.map(({ title }) => [make("th", { scope: "col" }, title), make("th", { scope: "col" }, "as a bar")]);
  return make("table", { class: "norms" },
    make("caption", {}, "Norm of the gradients of each layer's parameters, of the last batch"),
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "layer"), titles.flat())),
    make("tbody", {}, names.map((name) => make("tr", {}, make("th", { scope: "row" }, name), lanes.flatMap((lane) => cells(lane, name))))));
}

const asked = new Map();

/** Return an image of the test set; many come with one answer. */
async function pixels(app, id) {
  const at = Number(id.split("-")[1]);
  const start = at - (at % AT_ONCE);
  if (!asked.has(start)) asked.set(start, app.arraysOf(app.api(`/api/images/test?start=${start}&count=${AT_ONCE}`)));
  const { arrays: { images } } = await asked.get(start);
  const [, height, width, channels] = images.shape;
  const size = height * width * channels;
  return photograph({ shape: [height, width, channels], data: images.data.subarray((at - start) * size, (at - start + 1) * size) });
}

/** Fill a place with the worst predictions; each opens the image. Buttons that stay are kept, and with them the focus. */
export function worstList(app, place, worst) {
  const key = JSON.stringify(worst);
  if (place.dataset.shown === key) return;
  const focused = document.activeElement?.value;
  place.dataset.shown = key;
  const name = (label) => app.network.classes[label] ?? String(label);
  const figure = (value) => (value === null ? "NaN" : short(value, false));
  const texts = ({ label, predicted, probability, answer, loss }) => (predicted === undefined
    ? [`target ${figure(label)}`, `answer ${figure(answer)}`, `loss ${figure(loss)}`]
    : [`${name(label)}, ${label === predicted ? "right" : `taken for ${name(predicted)}`}`, `p ${figure(probability)}, loss ${figure(loss)}`]);
  const buttons = worst.map((one) => {
    const { image } = one;
    const button = make("button", { type: "button", class: "tile", value: image, click: () => app.show(image) },
      texts(one).map((text) => make("span", {}, text)));
    pixels(app, image).then((canvas) => {
      canvas.className = "thumbnail";
      canvas.setAttribute("aria-hidden", "true");
      button.prepend(canvas);
    }).catch((error) => app.say(error.message));
    return make("li", {}, button);
  });
  place.replaceChildren(worst.length ? make("ul", { class: "worst" }, buttons) : make("p", { class: "remark" }, "Nothing was examined yet."));
  if (focused) place.querySelector(`button[value="${CSS.escape(focused)}"]`)?.focus();
}
