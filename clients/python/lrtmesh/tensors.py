"""Tensors of lrtmesh.v1 as numpy arrays: whole ones, and those that come in chunks."""

import numpy as np

from . import v1
from .crc32c import crc32c

MAX_TENSOR_BYTES = 2 << 20
"""Bytes that a whole tensor in one message holds at most."""

MAX_CHUNK_BYTES = 512 << 10
"""Bytes that a chunk holds at most."""

_DTYPES = {
    v1.DTYPE_FLOAT32: np.dtype("<f4"),
    v1.DTYPE_FLOAT16: np.dtype("<f2"),
    v1.DTYPE_FLOAT64: np.dtype("<f8"),
    v1.DTYPE_BFLOAT16: np.dtype("<u2"),  # numpy has none; widened to float32 by `_array`
}
_DTYPE_OF = {dtype: key for key, dtype in _DTYPES.items() if key != v1.DTYPE_BFLOAT16}


class BrokenTensor(ValueError):
    """What came is not the tensor that was announced: wrong size, order or crc32c."""


def encode(array):
    """A whole tensor of an array of float16, float32 or float64, at most 2 MiB.

    Raises ValueError for other element types and larger arrays.
    """
    array = np.asarray(array)
    dtype = _DTYPE_OF.get(array.dtype.newbyteorder("<"))
    if dtype is None:
        raise ValueError(f"a tensor is of float16, float32 or float64, not {array.dtype}")
    if array.nbytes > MAX_TENSOR_BYTES:
        raise ValueError(f"a tensor in one message holds at most {MAX_TENSOR_BYTES} bytes; this one has {array.nbytes}: send it in parts")
    data = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False).tobytes()
    header = v1.TensorHeader(dtype=dtype, shape=array.shape, byte_length=len(data))
    return v1.Tensor(header=header, data=data, crc32c=crc32c(data))


def decode(tensor):
    """The array of a whole tensor, float32 where the elements are bfloat16. Raises BrokenTensor."""
    check(tensor.header)
    if len(tensor.data) != tensor.header.byte_length:
        raise BrokenTensor(f"{len(tensor.data)} bytes where {tensor.header.byte_length} were announced")
    if crc32c(tensor.data) != tensor.crc32c:
        raise BrokenTensor("wrong crc32c: the bytes were damaged")
    return _array(tensor.header, tensor.data)


def check(header):
    """Raises BrokenTensor if a header contradicts itself."""
    dtype = _DTYPES.get(header.dtype)
    if dtype is None:
        raise BrokenTensor(f"element type {header.dtype} is unknown")
    size = dtype.itemsize
    for length in header.shape:
        size *= length
    if len(header.shape) > 8 or size != header.byte_length:
        raise BrokenTensor(f"shape {list(header.shape)} of {dtype.itemsize}-byte elements is not {header.byte_length} bytes")


class Assembler:
    """Puts tensors together from their chunks, which come in order and without gaps within each tensor."""

    def __init__(self, headers):
        self._headers = list(headers)
        for header in self._headers:
            check(header)
        self._buffers = [bytearray(header.byte_length) for header in self._headers]
        self._filled = [0] * len(self._headers)

    @property
    def complete(self):
        """Whether every byte is there."""
        return all(filled == len(buffer) for filled, buffer in zip(self._filled, self._buffers))

    def add(self, chunk):
        """Takes a TensorChunk. Raises BrokenTensor if it is out of place or damaged."""
        index, data = chunk.tensor, chunk.data
        if index >= len(self._buffers) or chunk.offset != self._filled[index] or chunk.offset + len(data) > len(self._buffers[index]):
            raise BrokenTensor(f"a chunk out of place: tensor {index}, offset {chunk.offset}")
        if len(data) > MAX_CHUNK_BYTES:
            raise BrokenTensor(f"a chunk of {len(data)} bytes; {MAX_CHUNK_BYTES} is the most")
        if crc32c(data) != chunk.crc32c:
            raise BrokenTensor(f"wrong crc32c: tensor {index}, offset {chunk.offset}")
        self._buffers[index][chunk.offset : chunk.offset + len(data)] = data
        self._filled[index] += len(data)

    def arrays(self):
        """The arrays, in the order of their headers. Raises BrokenTensor while bytes are missing."""
        if not self.complete:
            raise BrokenTensor("bytes are missing")
        return [_array(header, buffer) for header, buffer in zip(self._headers, self._buffers)]


def _array(header, data):
    array = np.frombuffer(data, dtype=_DTYPES[header.dtype])
    if header.dtype == v1.DTYPE_BFLOAT16:
        array = (array.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return array.reshape(tuple(header.shape))
