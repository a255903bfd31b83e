/* The bytes of a message -> its header and typed arrays. The same for a websocket and a replay. */
(function (page) {
  "use strict";

  const MAGIC = 0x4d53494d; // "MSIM"
  const TYPES = {
    i4: Int32Array,
    u1: Uint8Array,
    u2: Uint16Array,
    f4: Float32Array,
    f8: Float64Array,
  };
  const LITTLE = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

  /* 64-bit integers as Numbers: all that are sent stay below 2^53. */
  function wholeNumbers(buffer, at, count) {
    const words = new DataView(buffer, at, count * 8);
    const values = new Float64Array(count);
    for (let i = 0; i < count; i++) {
      values[i] = words.getInt32(8 * i + 4, true) * 4294967296 + words.getUint32(8 * i, true);
    }
    return values;
  }

  /* Undo the differences along the first axis; typed arrays wrap as the writer's did. */
  function undoDifferences(values, width) {
    for (let i = width; i < values.length; i++) values[i] += values[i - width];
  }

  function readArray(buffer, start, entry) {
    const count = entry.shape.reduce((product, length) => product * length, 1);
    const at = start + entry.at;
    const size = entry.type === "i8" ? 8 : TYPES[entry.type].BYTES_PER_ELEMENT;
    if (at + count * size > buffer.byteLength) throw new Error(`array ${entry.name} is cut off`);
    const values =
      entry.type === "i8" ? wholeNumbers(buffer, at, count) : new TYPES[entry.type](buffer, at, count);
    if (entry.delta) undoDifferences(values, count / Math.max(1, entry.shape[0]));
    return values;
  }

  /* Read one message. Its arrays share the buffer, which must be the message's own. */
  function decode(buffer) {
    if (!LITTLE) throw new Error("this machine's byte order is not supported");
    const view = new DataView(buffer);
    if (buffer.byteLength < 8 || view.getUint32(0, true) !== MAGIC) {
      throw new Error("not a message of marketsim");
    }
    const start = 8 + view.getUint32(4, true);
    const message = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, start - 8)));
    const shapes = {};
    const columns = {};
    for (const entry of message.arrays || []) {
      columns[entry.name] = readArray(buffer, start, entry);
      shapes[entry.name] = entry.shape;
    }
    message.columns = columns;
    message.shapes = shapes;
    return message;
  }

  /* Split a recording: messages one after the other, each behind its length. */
  function split(bytes) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const messages = [];
    for (let at = 0; at + 4 <= bytes.byteLength;) {
      const length = view.getUint32(at, true);
      // A copy, so that the arrays inside lie on their natural boundaries.
      messages.push(bytes.slice(at + 4, at + 4 + length).buffer);
      at += 4 + length;
    }
    return messages;
  }

  function fromBase64(text) {
    const raw = atob(text.replace(/\s+/g, ""));
    const bytes = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
    return bytes;
  }

  /* The messages of an embedded recording (base64 of raw deflate), as a promise of buffers. */
  async function inflate(text) {
    const packed = new Blob([fromBase64(text)]).stream();
    const plain = packed.pipeThrough(new DecompressionStream("deflate-raw"));
    return split(new Uint8Array(await new Response(plain).arrayBuffer()));
  }

  const canInflate = () => typeof DecompressionStream === "function";

  page.wire = { decode, split, fromBase64, inflate, canInflate };
})((window.page = window.page || {}));
