// Read what tinycnn/explore/recording.py has written into a page.

import { unpack } from "../safetensors.js";

/** Return {description, arrays} of the text in a recording: base64 of deflate of the bytes of the data protocol. */
export async function opened(text) {
  const packed = Uint8Array.from(atob(text.trim()), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return unpack(await new Response(stream).arrayBuffer());
}
