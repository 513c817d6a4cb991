// Say that a recording is not whole; tinycnn/explore/inlining.py puts this script at the beginning of the file. If the
// script at its end has not run by the time that all has been read, the end is missing.
for (const element of [document.head, document.querySelector("title")]) element?.removeAttribute("style");
document.title = "A recording that is not open";
globalThis.tinycnnRefuse = (what) => {
  const place = document.getElementById("loading") ?? document.querySelector("main") ?? document.body;
  place.setAttribute("role", "alert");
  place.textContent = `This recording is refused: ${what}. Copy the file again, or make it again with 'tinycnn explore MODEL --record FILE'.`;
};
addEventListener("DOMContentLoaded", () => {
  if (globalThis.tinycnnHasBegun) return;
  const isThere = document.getElementById("end");
  globalThis.tinycnnRefuse(isThere ? "the file is damaged" : "the file is cut off, its end is missing");
});
