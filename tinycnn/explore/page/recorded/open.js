// Read what tinycnn/explore/recording.py has written into a page.

import { unpack } from "../safetensors.js";

/** Return {description, arrays} of the text in a recording: base64 of deflate of the bytes of the data protocol. */
export async function opened(text) {
  const letters = atob(text.trim());
  const packed = new Uint8Array(letters.length);
  for (let n = 0; n < letters.length; n += 1) packed[n] = letters.charCodeAt(n);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return unpack(await new Response(stream).arrayBuffer());
}
