// A derivative beside its central difference, measured by the engine in float64; and all of a layer's at once.

import { able, amount, make, number, short, table } from "./dom.js";

const VERDICTS = {
  agrees: ["good", "✓ They agree."],
  wrong: ["error", "✗ They do not agree: this gradient is wrong."],
  kink: ["good", "This is a kink: the slopes on its two sides differ, and backward's lies between them."],
  hidden: ["remark", "The slope is so small that rounding hides it; nothing speaks against backward's."],
  slow: ["remark", "Measuring this one would take too long in a network of this size."],
};

/** How long a number has to stay chosen before it is measured, in milliseconds: arrow keys pass over many. */
const PATIENCE = 250;

/** Return a section that measures the derivative by one element of an array of the pass, named as in the protocol. */
export function measuredByEngine(app, array, index) {
  if (app.source.isRecording) return "";
  const { trace } = app.pass.description;
  const box = make("section", { class: "numbers slope", tabindex: 0, "aria-label": `The derivative by ${array}, measured`, "data-array": array });
  setTimeout(async () => {
    if (!box.isConnected) return; // another number was chosen meanwhile
    try {
      const answer = await (await app.send("/api/slope", { trace, array, index })).json();
      box.replaceChildren(...shown(answer));
      box.dataset.verdict = answer.verdict;
    } catch (error) {
      box.replaceChildren(make("p", { class: "remark" }, error.message));
    }
  }, PATIENCE);
  return box;
}

/** Return what an answer of the server says. */
function shown(answer) {
  const rows = [["by backward", number(Number(answer.analytic), null, true)]];
  if (answer.numeric !== null) {
    rows.push(
      ["central difference", number(Number(answer.numeric), null, true)],
      ["relative error", short(Number(answer.relative_error), false)],
      ["slope on the left, on the right", `${short(Number(answer.left))}, ${short(Number(answer.right))}`],
      ["moved by", short(Number(answer.step), false)],
    );
  }
  const [look, text] = VERDICTS[answer.verdict];
  return [table("The same derivative, measured in float64", ["way", "value"], rows), make("p", { class: look }, text)];
}

/**
 * Return a button that checks every layer's backward against slopes, and marks the layers; mark(number, ok) does that.
 */
export function checkButton(app, mark) {
  if (app.source.isRecording) return "";
  const list = make("ul", { class: "steps" });
  const button = make("button", {
    type: "button",
    click: async () => {
      able(button, false);
      list.replaceChildren();
      const { trace } = app.pass.description;
      let wrong = 0;
      try {
        for (const [n, layer] of app.network.layers.entries()) {
          app.say(`Checking ${layer.name} …`);
          const found = await (await app.api(`/api/trace/${trace}/layer/${n}/check`)).json();
          mark(n, found.ok);
          if (found.ok) continue;
          wrong += 1;
          for (const [name, array] of Object.entries(found.arrays)) {
            if (array.ok === false) list.append(make("li", { class: "error" }, `✗ ${layer.name}, ${name}: ${array.message}`));
          }
        }
        app.say(wrong ? `${amount(wrong, "layer")} ${wrong === 1 ? "has" : "have"} a wrong gradient.` : "Every layer's gradients agree with slopes that were measured.");
      } catch (error) {
        app.say(error.message);
      }
      able(button, true);
    },
  }, "Check the gradients of all layers");
  return make("div", { class: "check" }, button, list);
}
