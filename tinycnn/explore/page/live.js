// Where the page's arrays come from while the server runs: the engine itself.

import { api, arraysOf, send } from "./api.js";
import { readable } from "./safetensors.js";

export const live = {
  /** Views that need the engine are there. */
  isRecording: false,
  remark: "",

  /** Return the description of the network or, while there is none yet, {preparing}: see preparing.js. */
  network: async () => {
    const found = await (await api("/api/network")).json();
    return found.preparing ? found : readable(found);
  },

  /** Return {description, arrays} of a pass of one image; label null: its own. */
  trace: (image, label, mode) => arraysOf(send("/api/trace", { image, label, mode })),

  /** Return what a layer holds in a pass, by name. */
  layer: async (trace, layer) => (await arraysOf(api(`/api/trace/${trace}/layer/${layer}`))).arrays,

  /** Return the arrays of one of the images of a pass. */
  image: async (trace, image) => (await arraysOf(api(`/api/trace/${trace}/image/${image}`))).arrays,
};
