import type { Tensor, Tensor__Output } from '../generated/lrtmesh/v1/Tensor.js';
import type { TensorChunk__Output } from '../generated/lrtmesh/v1/TensorChunk.js';
import type { TensorHeader__Output } from '../generated/lrtmesh/v1/TensorHeader.js';

/** Bytes that a whole tensor in one message holds at most. */
export const maxTensorBytes = 2 << 20;

/** Bytes that a chunk holds at most. */
export const maxChunkBytes = 512 << 10;

/** What came is not the tensor that was announced: wrong size, order or crc32c. */
export class BrokenTensorError extends Error {}

const elementSizes: Record<string, number> = { DTYPE_FLOAT32: 4, DTYPE_FLOAT16: 2, DTYPE_BFLOAT16: 2, DTYPE_FLOAT64: 8 };

const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? (byte >>> 1) ^ 0x82f63b78 : byte >>> 1;
  return byte;
});

/** CRC-32C (Castagnoli), as RFC 3720 appendix B.4 computes it. */
export function crc32c(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (let i = 0; i < data.length; i++) crc = crcTable[(crc ^ data[i]) & 0xff] ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** A whole float32 tensor of row-major elements. Throws RangeError for one of more than 2 MiB, or a shape that has other elements. */
export function encode(elements: Float32Array, shape: number[] = [elements.length]): Tensor {
  if (shape.reduce((count, length) => count * length, 1) !== elements.length) {
    throw new RangeError(`shape [${shape}] does not have ${elements.length} elements`);
  }
  if (elements.byteLength > maxTensorBytes) {
    throw new RangeError(`a tensor in one message holds at most ${maxTensorBytes} bytes; this one has ${elements.byteLength}: send it in parts`);
  }
  const data = Buffer.alloc(elements.byteLength);
  elements.forEach((element, i) => data.writeFloatLE(element, 4 * i));
  return { header: { dtype: 'DTYPE_FLOAT32', shape, byteLength: data.length }, data, crc32c: crc32c(data) };
}

/** The row-major elements of a whole tensor of any element type, as float32. Throws BrokenTensorError. */
export function decode(tensor: Tensor__Output): Float32Array {
  const header = tensor.header ?? {};
  check(header);
  const data = tensor.data ?? Buffer.alloc(0);
  if (data.length !== Number(header.byteLength)) {
    throw new BrokenTensorError(`${data.length} bytes where ${header.byteLength} were announced`);
  }
  if (crc32c(data) !== (tensor.crc32c ?? 0)) throw new BrokenTensorError('wrong crc32c: the bytes were damaged');
  return floats(header.dtype, data);
}

/** Puts tensors together from their chunks, which come in order and without gaps within each tensor. */
export class Assembler {
  readonly #buffers: Buffer[];
  readonly #filled: number[];

  constructor(private readonly headers: TensorHeader__Output[]) {
    headers.forEach(check);
    this.#buffers = headers.map((header) => Buffer.alloc(Number(header.byteLength ?? 0)));
    this.#filled = headers.map(() => 0);
  }

  /** Whether every byte is there. */
  get complete(): boolean {
    return this.#buffers.every((buffer, i) => buffer.length === this.#filled[i]);
  }

  /** Takes a chunk. Throws BrokenTensorError if it is out of place or damaged. */
  add(chunk: TensorChunk__Output): void {
    const index = chunk.tensor ?? 0;
    const offset = Number(chunk.offset ?? 0);
    const data = chunk.data ?? Buffer.alloc(0);
    if (index >= this.#buffers.length || offset !== this.#filled[index] || offset + data.length > this.#buffers[index].length) {
      throw new BrokenTensorError(`a chunk out of place: tensor ${index}, offset ${offset}`);
    }
    if (data.length > maxChunkBytes) throw new BrokenTensorError(`a chunk of ${data.length} bytes; ${maxChunkBytes} is the most`);
    if (crc32c(data) !== (chunk.crc32c ?? 0)) throw new BrokenTensorError(`wrong crc32c: tensor ${index}, offset ${offset}`);
    data.copy(this.#buffers[index], offset);
    this.#filled[index] += data.length;
  }

  /** The elements of each tensor, as float32. */
  tensors(): Float32Array[] {
    return this.#buffers.map((buffer, i) => floats(this.headers[i].dtype, buffer));
  }
}

function check(header: TensorHeader__Output): void {
  const size = elementSizes[header.dtype ?? ''];
  if (size === undefined) throw new BrokenTensorError(`element type ${header.dtype} is unknown`);
  const shape = header.shape ?? [];
  const bytes = shape.reduce((product, length) => product * BigInt(length), BigInt(size));
  if (shape.length > 8 || bytes !== BigInt(header.byteLength ?? 0)) {
    throw new BrokenTensorError(`shape [${shape}] of ${size}-byte elements is not ${header.byteLength} bytes`);
  }
}

function floats(dtype: string | undefined, data: Buffer): Float32Array {
  const size = elementSizes[dtype ?? ''];
  const elements = new Float32Array(data.length / size);
  const bits = new Uint32Array(elements.buffer);
  for (let i = 0; i < elements.length; i++) {
    if (dtype === 'DTYPE_FLOAT32') bits[i] = data.readUInt32LE(4 * i);
    else if (dtype === 'DTYPE_BFLOAT16') bits[i] = data.readUInt16LE(2 * i) << 16;
    else if (dtype === 'DTYPE_FLOAT16') elements[i] = half(data.readUInt16LE(2 * i));
    else elements[i] = data.readDoubleLE(8 * i);
  }
  return elements;
}

/** Widens an IEEE 754 binary16. */
function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
