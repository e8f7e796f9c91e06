"""The stream of hidden states, both ways, as arrays."""

import queue
from collections import deque
from dataclasses import dataclass
from typing import List

import numpy as np

from . import v1
from .tensors import Assembler, BrokenTensor

_LABELS = ("sequence", "position", "token_id", "char_start", "char_end")
_LABELS_OF_REDUCTIONS = ("position_end", "span")
_MAX_WAITING = 16  # batches, as ExtractionSpec.credit_bytes says


@dataclass(frozen=True)
class HiddenStates:
    """A block of rows, always of whole texts; one entry a row in each array."""

    sequence: np.ndarray
    """Which text of the stream, counted from 0. [rows]"""
    position: np.ndarray
    """Position of the token within its text; of a mean the first. [rows]"""
    token_id: np.ndarray
    """Of a mean the last. [rows]"""
    char_start: np.ndarray
    """First UTF-16 code unit that the token covers. [rows]"""
    char_end: np.ndarray
    """[rows]"""
    position_end: np.ndarray
    """Of means one past the last position, [rows]; otherwise empty."""
    span: np.ndarray
    """With a reduction by span which of its text's, [rows]; otherwise empty."""
    layers: List[np.ndarray]
    """One array a layer, in the order of the spec. [rows, width]"""


class Reader:
    """Makes HiddenStates of the messages of ExtractHiddenStates and checks them on the way."""

    def __init__(self, spec):
        self._spec = spec
        self._rows = None
        self._assembler = None
        self.started = None
        """ExtractionStarted: which model reads; None before the first message."""

    def take(self, response):
        """Takes a message; gives HiddenStates where it completes a block, otherwise None. Raises BrokenTensor."""
        part = response.WhichOneof("part")
        if part == "started" and self.started is None:
            self.started = response.started
            return None
        if part == "rows" and self.started is not None and self._rows is None:
            self._begin(response.rows)
        elif part == "chunk" and self._rows is not None:
            self._assembler.add(response.chunk)
        else:
            raise BrokenTensor(f"an unexpected part: {part}")
        return self._take_block() if self._assembler.complete else None

    def finish(self):
        """Raises BrokenTensor if the stream ended within a block."""
        if self._rows is not None:
            raise BrokenTensor("the stream ended within a block of rows")

    def _begin(self, rows):
        due = [len(rows.sequence), self.started.width]
        if len(rows.layers) != len(self._spec.layers) or any(list(header.shape) != due for header in rows.layers):
            raise BrokenTensor(f"not {len(self._spec.layers)} layers of shape {due}")
        lengths = [len(getattr(rows, label)) for label in _LABELS]
        lengths += [len(getattr(rows, label)) or due[0] for label in _LABELS_OF_REDUCTIONS]
        if any(length != due[0] for length in lengths):
            raise BrokenTensor("labels of unequal number")
        self._rows, self._assembler = rows, Assembler(rows.layers)

    def _take_block(self):
        rows, self._rows = self._rows, None
        labels = (np.array(getattr(rows, label), dtype=np.uint32) for label in _LABELS + _LABELS_OF_REDUCTIONS)
        return HiddenStates(*labels, self._assembler.arrays())


class Outbox:
    """What to send next: the spec, then a message a batch, which is a list of texts or a TextBatch.

    Where the spec has credit_bytes, what was read is granted again, once half of the credit is used up (chunks would shrink otherwise), no more batches wait for their answer than the server
    allows, and the end comes only when all are answered, since credit can be granted no longer then. Its methods may be called from two threads.
    """

    def __init__(self, spec, batches, changed):
        """`changed` is an Event of threading or asyncio: set when there may be more to send."""
        self._due, self._batches, self._credit = v1.ExtractHiddenStatesRequest(spec=spec), iter(batches), spec.credit_bytes
        self._read, self._granted = 0, queue.SimpleQueue()  # bytes that were read and not yet granted again; and what is
        self._ends, self._end = deque(), 0  # of each batch that waits: one past its last text, counted over the stream
        self._closed = False
        self.changed = changed
        self.failure = None
        """What iterating the batches raised; None if nothing."""

    def next(self):
        """The next message, or None where there is none as yet. Raises EOFError at the end."""
        if self._closed:
            raise EOFError
        if self._due is not None:
            message, self._due = self._due, None
            return message
        if not self._granted.empty():
            return v1.ExtractHiddenStatesRequest(credit=v1.Credit(bytes=self._granted.get()))
        if self._batches is not None and (not self._credit or len(self._ends) < _MAX_WAITING):
            batch = self._next_batch()
            if batch is not None:
                return v1.ExtractHiddenStatesRequest(batch=batch)
        if self._batches is None and not (self._credit and self._ends):
            raise EOFError
        return None

    def took(self, response, block):
        """Notes a message that was read, and the HiddenStates that it completed, if it did."""
        if self._credit:
            self._read += len(response.chunk.data)  # none where it is no chunk
            if self._read >= max(1, self._credit // 2):
                self._granted.put(self._read)
                self._read = 0
            while block is not None and self._ends and block.sequence[-1] + 1 >= self._ends[0]:
                self._ends.popleft()
            self.changed.set()

    def close(self):
        """Sends no more."""
        self._closed = True
        self.changed.set()

    def _next_batch(self):
        try:
            batch = next(self._batches, None)
        except Exception as error:
            self.failure = error
            raise
        if batch is None:
            self._batches = None
            return None
        batch = batch if isinstance(batch, v1.TextBatch) else v1.TextBatch(texts=batch)
        self._end += len(batch.texts) + len(batch.chats)
        self._ends.append(self._end)
        return batch
