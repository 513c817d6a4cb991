// Start the page in a recording; tinycnn/explore/inlining.py puts this script at the end of the file. The modules stand
// in the file, made smaller, because a page that was opened by double click can load none from elsewhere.
globalThis.tinycnnHasBegun = true;
(async () => {
  const { nonce } = document.currentScript; // without it, the browser refuses every script in this page
  const held = Array.from(document.querySelectorAll("[data-held]"), (element) => element.textContent);
  // That number is the digest of all that the file holds, and these places are where the page puts itself.
  const isWhole = sha256(new TextEncoder().encode(held.join("\0"))) === nonce
    && ["title", "controls", "views", "main", "loading", "said"].every((id) => document.getElementById(id));
  if (!isWhole) {
    globalThis.tinycnnRefuse("the file was changed or damaged, it does not hold what was written into it");
    return;
  }
  const text = (id) => document.getElementById(id).textContent;
  try {
    const packed = Uint8Array.from(atob(text("modules")), (letter) => letter.charCodeAt(0));
    const sources = await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"))).json();
    const addresses = Object.entries(sources).map(([name, source]) =>
      [name, URL.createObjectURL(new Blob([source], { type: "text/javascript" }))]);
    const map = document.createElement("script");
    Object.assign(map, { type: "importmap", nonce, textContent: JSON.stringify({ imports: Object.fromEntries(addresses) }) });
    document.head.append(map);
    globalThis.tinycnnRecording = text("recording");
    await import("tinycnn/main.js");
  } catch (error) {
    document.getElementById("loading").textContent = `This browser cannot open the recording: ${error.message}`;
  }
})();
