// What the page shows until there is a network: how far the work is that makes it, such as a first training.

import { make } from "./dom.js";

/** After how many milliseconds to ask again how far it is, and to write it, so that it can be read out in between. */
const ASK = 500;
const WRITE = 2500;

/**
 * Return the description of the network as soon as there is one, and until then show in place of an element how far it is.
 * Raise an Error if there never will be one.
 */
export async function prepared(network, loading, say) {
  let found = await network();
  if (!found.preparing) return found;
  const title = make("h2", {}, found.preparing.title);
  const bar = make("progress", { "aria-label": "How far it is", max: 1 });
  const text = make("p", { class: "answer", role: "status" });
  const box = make("div", { id: "preparing" }, title, bar, text, make("p", { class: "remark" }, "The network is shown here as soon as this is done."));
  loading.before(box);
  loading.hidden = true;
  let written = -Infinity;
  while (found.preparing) {
    const { text: now, share, failed } = found.preparing;
    if (failed) throw new Error(`${found.preparing.title}.\nThis has failed: ${now}\nThe program in the terminal has ended.`);
    if (share === null) bar.removeAttribute("value");
    else bar.value = share;
    if (performance.now() - written >= WRITE && now !== text.textContent) {
      text.textContent = now;
      written = performance.now();
    }
    await new Promise((resolve) => { setTimeout(resolve, ASK); });
    found = await network();
  }
  box.remove();
  say("This is done; here is the network.");
  return found;
}
