"""The steps that a transformer remembers: windows of running episodes, and a rollout's history.

Shapes: N environments, T steps of a rollout, C columns (steps that are remembered), D numbers of a
step, M steps of a mini batch, Q steps of the environment with the most of them, W the longest
window.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from neroRL.models.memory.attention import Block
from neroRL.models.memory.interface import MemoryState, Readout
from neroRL.models.transfer import on_device

if TYPE_CHECKING:
    from neroRL.models.memory.transformer import TransformerMemory


class Past(NamedTuple):
    """The past that the steps of a mini batch attend to.

    Attributes:
        items: remembered inputs of each block, shape (N, C, D) each.
        times: of the columns in their episodes, shape (N, C).
        times_of_steps: of the steps in their episodes, shape (M,).
        places: position of each step among the queries, the flattened (N, Q), shape (M,).
        mask: True for the columns that a query attends to, shape (N, Q, C).
    """

    items: list[Tensor]
    times: Tensor
    times_of_steps: Tensor
    places: Tensor
    mask: Tensor


class WindowHistory:
    """The remembered steps of a rollout, and the earlier ones that it started with.

    Args:
        items: remembered inputs of each block, shape (N, C, D) each; the rollout's T columns come
            last.
        begins: the first column of each step's episode, shape (T, N); negative if that column is
            no longer remembered.
        window: W.
    """

    def __init__(self, items: list[Tensor], begins: np.ndarray, window: int) -> None:
        self._items = items
        self._begins = begins
        self._window = window
        columns = np.arange(items[0].shape[1])
        self._first_column = len(columns) - len(begins)
        # Earlier columns have the begins of the first step: no step sees older episodes.
        of_columns = np.concatenate((np.repeat(begins[:1], self._first_column, axis=0), begins))
        self._times = np.maximum(columns[:, None] - of_columns, 0).T.copy()

    def before(self, first: np.ndarray) -> Past:
        """Returns the past that steps attend to; see the base class."""
        step, worker = np.divmod(first, self._begins.shape[1])
        column = self._first_column + step
        begin = self._begins[step, worker]
        oldest = np.maximum(begin, column - self._window)
        low = max(int(oldest.min()), 0)
        # Steps without a past get a hidden column, so that all weights have gradients, if only 0.
        high = max(int(column.max()), low + 1)
        order = np.argsort(worker, kind="stable")
        counts = np.bincount(worker, minlength=self._begins.shape[1])
        most = int(counts.max())
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order)) - (np.cumsum(counts) - counts)[worker[order]]
        places = worker * most + rank
        columns = np.arange(low, high)
        mask = np.zeros((len(counts) * most, len(columns)), np.bool_)
        mask[places] = (columns >= oldest[:, None]) & (columns < column[:, None])
        device = self._items[0].device
        return Past(
            items=[items[:, low:high] for items in self._items],
            times=on_device(self._times[:, low:high], device),
            times_of_steps=on_device(column - begin, device),
            places=on_device(places, device),
            mask=on_device(mask, device).view(len(counts), most, len(columns)),
        )


class Window(MemoryState):
    """The remembered steps of N running episodes, with their keys and values.

    Args:
        memory: that the window belongs to.
        empty: of the memory's device, shape (N, 0).
        readout: of the memory's output.
    """

    def __init__(self, memory: TransformerMemory, empty: Tensor, readout: Readout) -> None:
        self._memory = memory
        self._readout = readout
        self._device = empty.device
        count = len(empty)
        dtype = next(memory.parameters()).dtype
        blocks = range(len(memory.blocks))
        self._items = [empty.new_empty(count, 0, memory.output_size, dtype=dtype) for _ in blocks]
        self._keys = list(self._items)
        self._values = list(self._items)
        self._column = 0  # of the next step
        self._begins = np.zeros(count, np.int64)  # first columns of the running episodes
        self._kept: list[np.ndarray] = []

    def begin_rollout(self, steps: int) -> None:
        """Keeps the columns still in use, with keys and values of the current weights."""
        carried = self._carried()
        forgotten = self._column - carried
        self._begins = self._begins - forgotten
        self._column = carried
        self._kept = []
        times = np.maximum(np.arange(carried) - self._begins[:, None], 0)
        times_of_columns = on_device(times, self._device)
        for number, items in enumerate(self._items):
            # Copied, as after a resume: the last bits of a product depend on where its rows lie.
            seen = items[:, forgotten : forgotten + carried].clone()
            room = items.new_empty(len(items), steps, items.shape[2])
            keys, values = self._memory.keys_and_values(number, seen, times_of_columns)
            self._items[number] = torch.cat((seen, room), dim=1)
            self._keys[number] = torch.cat((keys, room), dim=1)
            self._values[number] = torch.cat((values, room), dim=1)

    def step(self, features: Tensor) -> Tensor:
        """Advances all environments by one step; see the base class."""
        self._kept.append(self._begins)
        output, inputs = self._run(features, slice(None))
        times = on_device(self._column - self._begins, self._device)
        for number, items in enumerate(self._memory.remembered(inputs, times)):
            keys, values = self._memory.keys_and_values(number, items, times)
            self._items[number][:, self._column] = items
            self._keys[number][:, self._column] = keys
            self._values[number][:, self._column] = values
        self._column += 1
        return self._readout(output)

    def look(self, features: Tensor, workers: np.ndarray) -> Tensor:
        """Computes outputs of some environments; see the base class."""
        return self._readout(self._run(features, workers)[0])

    def shown(self, features: Tensor) -> dict[str, Tensor]:
        """Returns the attention of the next step; see the base class."""
        attention: list[Tensor] = []

        def attend(
            block: Block, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor
        ) -> Tensor:
            attention.append(block.weights(queries, keys, mask).mean(dim=1)[:, 0])
            return block.attend(queries, keys, values, mask)

        self._run(features, slice(None), attend)
        return {"attention": torch.stack(attention, dim=1)}

    def begin_episodes(self, workers: np.ndarray) -> None:
        """Hides earlier columns from environments whose episodes begin."""
        self._begins = self._begins.copy()
        self._begins[workers] = self._column

    def end_rollout(self) -> WindowHistory:
        """Returns the history of the rollout."""
        items = [items[:, : self._column] for items in self._items]
        return WindowHistory(items, np.stack(self._kept), self._memory.window)

    def state_dict(self) -> dict[str, Any]:
        """Returns the columns still in use."""
        first = self._column - self._carried()
        return {
            "items": [items[:, first : self._column].clone() for items in self._items],
            "begins": (self._begins - first).tolist(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores the window."""
        self._items = list(state["items"])
        self._column = self._items[0].shape[1]
        self._begins = np.array(state["begins"])

    def _carried(self) -> int:
        """Counts the last columns that some running episode still attends to."""
        return min(self._memory.window, self._column - int(self._begins.min()), self._column)

    def _run(
        self,
        features: Tensor,
        workers: np.ndarray | slice,
        answer: Callable[[Block, Tensor, Tensor, Tensor, Tensor], Tensor] = Block.attend,
    ) -> tuple[Tensor, list[Tensor]]:
        begins = self._begins[workers]
        low = max(self._column - self._memory.window, int(begins.min()), 0)
        mask = on_device(np.arange(low, self._column) >= begins[:, None], self._device)[:, None]
        # A slice is a view of the keys and values, an index a copy.
        chosen = workers if isinstance(workers, slice) else on_device(workers, self._device)

        def attend(block: Block, number: int, queries: Tensor) -> Tensor:
            keys, values = (
                x[number][chosen, low : self._column] for x in (self._keys, self._values)
            )
            return answer(block, queries[:, None], keys, values, mask)[:, 0]

        return self._memory.run(features, on_device(self._column - begins, self._device), attend)
