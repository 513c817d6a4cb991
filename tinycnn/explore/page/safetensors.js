// Read the bytes of tinycnn/explore/protocol.py: a safetensors file whose metadata hold a description in JSON.

const KINDS = {
  F32: Float32Array, F64: Float64Array, U8: Uint8Array, BOOL: Uint8Array,
  I8: Int8Array, I16: Int16Array, U16: Uint16Array, I32: Int32Array, U32: Uint32Array,
};

/** The version of the data protocol that this page reads; tinycnn/explore/protocol.py says what changes with it. */
const PROTOCOL = 1;

/** Return the description of a network, or raise an Error if it is one of another version of the protocol. */
export function readable(network) {
  if (network?.protocol === PROTOCOL) return network;
  const got = JSON.stringify(network?.protocol) ?? "none";
  throw new Error(`the network is described in version ${got} of the data protocol, and this page reads version ${PROTOCOL}; use the page and the file of one release of tinycnn`);
}

/** Return {description, arrays}; an array is {shape, data}, its numbers in C order. */
export function unpack(buffer) {
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const arrays = {};
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const { dtype, shape, data_offsets: [from, to] } = entry;
    const Kind = KINDS[dtype];
    if (!Kind) throw new Error(`array ${name} has the dtype ${dtype}, which this page cannot read`);
    const start = 8 + length + from;
    const size = Kind.BYTES_PER_ELEMENT;
    // A typed array has to begin at a multiple of its numbers' size.
    const data = start % size ? new Kind(buffer.slice(start, 8 + length + to)) : new Kind(buffer, start, (to - from) / size);
    arrays[name] = { shape, data };
  }
  return { description: JSON.parse(header.__metadata__.tinycnn), arrays };
}

/** Return the place of an index in an array's data. */
export function offset(shape, index) {
  return index.reduce((sum, at, axis) => sum * shape[axis] + at, 0);
}

/** Return one number of an array. */
export function valueAt(array, index) {
  return array.data[offset(array.shape, index)];
}

/** Return an array's index for a place in its data. */
export function indexAt(shape, place) {
  const index = new Array(shape.length);
  for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
    index[axis] = place % shape[axis];
    place = Math.floor(place / shape[axis]);
  }
  return index;
}
