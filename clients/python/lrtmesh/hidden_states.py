"""The stream of hidden states, both ways, as arrays."""

from dataclasses import dataclass
from typing import List

import numpy as np

from . import v1
from .tensors import Assembler, BrokenTensor


@dataclass(frozen=True)
class HiddenStates:
    """A block of rows, always of whole texts; one entry a row in each array."""

    sequence: np.ndarray
    """Which text of the stream, counted from 0. [rows]"""
    position: np.ndarray
    """Position of the token within its text. [rows]"""
    token_id: np.ndarray
    """[rows]"""
    char_start: np.ndarray
    """First UTF-16 code unit that the token covers. [rows]"""
    char_end: np.ndarray
    """[rows]"""
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
        if any(len(labels) != due[0] for labels in (rows.position, rows.token_id, rows.char_start, rows.char_end)):
            raise BrokenTensor("labels of unequal number")
        self._rows, self._assembler = rows, Assembler(rows.layers)

    def _take_block(self):
        rows, self._rows = self._rows, None
        labels = (rows.sequence, rows.position, rows.token_id, rows.char_start, rows.char_end)
        return HiddenStates(*(np.array(label, dtype=np.uint32) for label in labels), self._assembler.arrays())


def requests(spec, batches):
    """The messages to send: the spec, then one a batch. A batch is a list of texts, or a TextBatch."""
    yield v1.ExtractHiddenStatesRequest(spec=spec)
    for batch in batches:
        yield v1.ExtractHiddenStatesRequest(batch=batch if isinstance(batch, v1.TextBatch) else v1.TextBatch(texts=batch))
