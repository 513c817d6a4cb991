// Arrays as JSON, between Python and node: {shape, dtype, base64}; numbers that JSON does not have are {number: "NaN"}.

const KINDS = {
  float32: Float32Array, float64: Float64Array, uint8: Uint8Array, int32: Int32Array, int64: BigInt64Array,
};

/** Make arrays of what Python wrote, as the second argument of JSON.parse. */
export function read(key, value) {
  if (!value || typeof value.base64 !== "string") return value;
  const bytes = Buffer.from(value.base64, "base64");
  const data = new KINDS[value.dtype](new Uint8Array(bytes).buffer);
  return { shape: value.shape, data };
}

/** Write arrays for Python, as the second argument of JSON.stringify. */
export function write(key, value) {
  if (ArrayBuffer.isView(value)) {
    const dtype = Object.keys(KINDS).find((name) => value instanceof KINDS[name]);
    return { dtype, base64: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64") };
  }
  if (typeof value === "number" && !Number.isFinite(value)) return { number: String(value) };
  return value;
}
