"""CRC-32C (Castagnoli) of large buffers, vectorised over lanes with numpy."""

import numpy as np

_POLYNOMIAL = np.uint32(0x82F63B78)  # reflected
_LANE = 512  # bytes that a lane reads one after the other; all lanes do so at once


def _byte_table():
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> np.uint32(1)) ^ _POLYNOMIAL, table >> np.uint32(1))
    return table


_TABLE = _byte_table()


def _apply(operator, registers):
    """A linear operator, as tables [4, 256] of its values at each byte, on registers of any shape."""
    return (
        operator[0][registers & 0xFF]
        ^ operator[1][(registers >> np.uint32(8)) & 0xFF]
        ^ operator[2][(registers >> np.uint32(16)) & 0xFF]
        ^ operator[3][registers >> np.uint32(24)]
    )


def _append_zeros(count):
    """The operator that carries a register over `count` zero bytes, a power of two."""
    values = np.arange(256, dtype=np.uint32)
    basis = np.stack([values << np.uint32(8 * byte) for byte in range(4)])
    operator = _TABLE[basis & 0xFF] ^ (basis >> np.uint32(8))
    while count > 1:
        operator = _apply(operator, operator)
        count //= 2
    return operator


_OVER_LANE = _append_zeros(_LANE)


def crc32c(data):
    """CRC-32C of a bytes-like object, as RFC 3720 appendix B.4 computes it."""
    buffer = np.frombuffer(data, dtype=np.uint8)
    # An initial register of ones is the same as the first four bytes inverted; and zeros in front of a zero register change nothing.
    lanes = 1
    while lanes * _LANE < buffer.size:
        lanes *= 2
    if buffer.size < 4:
        register = 0xFFFFFFFF
        for byte in buffer.tolist():
            register = int(_TABLE[(register ^ byte) & 0xFF]) ^ (register >> 8)
        return register ^ 0xFFFFFFFF
    padded = np.zeros(lanes * _LANE, dtype=np.uint8)
    start = padded.size - buffer.size
    padded[start:] = buffer
    padded[start : start + 4] ^= 0xFF
    columns = np.ascontiguousarray(padded.reshape(lanes, _LANE).T)  # [_LANE, lanes]
    registers = np.zeros(lanes, dtype=np.uint32)
    for column in columns:
        registers = _TABLE[(registers ^ column) & 0xFF] ^ (registers >> np.uint32(8))
    # Neighbours are joined in pairs: the left one is carried over the length of the right one.
    operator = _OVER_LANE
    while registers.size > 1:
        registers = _apply(operator, registers[0::2]) ^ registers[1::2]
        operator = _apply(operator, operator)
    return int(registers[0]) ^ 0xFFFFFFFF
