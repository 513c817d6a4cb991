// Where the page's arrays come from in a recording: from the file itself, and from this browser's own arithmetic.

import { drawing } from "./recorded/drawing.js";
import { opened } from "./recorded/open.js";
import { Recording } from "./recorded/recording.js";

let opening = null;

/** Return the recording, after it was compared with the engine's arrays. */
function recording() {
  opening ??= open();
  return opening;
}

async function open() {
  let found;
  try {
    found = new Recording(await opened(globalThis.tinycnnRecording));
  } catch (error) {
    throw new Error(`This recording is refused: it does not hold what 'tinycnn explore --record' writes (${error.message}). Make it again.`);
  }
  const loading = document.getElementById("loading");
  await found.check(({ image }) => {
    if (loading) loading.textContent = `Comparing this browser's arithmetic with the engine's, for ${image} …`;
    return new Promise((paint) => { setTimeout(paint, 0); });
  });
  return found;
}

export const recorded = {
  /** There is no engine; views that need it say so. */
  isRecording: true,
  remark: "A recording: what was recorded and what is recomputed in this browser is said beside the numbers.",

  network: async () => (await recording()).describe(),
  trace: async (image, label, mode) => (await recording()).trace(image, label, mode),
  layer: async (trace, layer) => (await recording()).layer(trace, layer),

  /** Return {state, steps, canCompute} of the training that was recorded, or null; see recorded_training.py. */
  async training() {
    const { training, refusals } = await recording();
    return training && { ...training, canCompute: !refusals.values };
  },

  /** Show the network as it was after a step of the training, given as a text; "": at the end. */
  use: async (step) => (await recording()).use(step),

  /** Answer what needs no engine of the requests that a server would get; see drawing.js. */
  async api(path, options = {}) {
    const answer = drawing(await recording(), new URL(path, "http://recording"), options.body);
    if (!answer) throw new Error("This needs the engine, and a recording has none: open the network with 'tinycnn explore'.");
    return answer;
  },

  send: (path) => recorded.api(path),

  /** Return {description, arrays} of an answer of `api`. */
  arraysOf: async (answer) => answer,
};
