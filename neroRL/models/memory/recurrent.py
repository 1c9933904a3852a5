"""Recurrent memory: stacked GRU or LSTM layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor, nn

from neroRL.config.schema import RecurrenceConfig
from neroRL.errors import ConfigError, Problem
from neroRL.models.initialisation import orthogonal_
from neroRL.models.memory.cells import gru_sequence, gru_step, lstm_sequence, lstm_step
from neroRL.models.memory.interface import Inputs, Memory, MemoryState, Pieces, Readout
from neroRL.models.transfer import on_device

GATES = {"gru": 3, "lstm": 4}


class RecurrentMemory(Memory):
    """Layers of GRU or LSTM cells behind an optional linear embedding.

    A state holds, for each layer, its hidden state and, for an LSTM, its cell, one after the
    other: S numbers.

    Args:
        config: of the recurrence.
        inputs: of the first layer, or of the embedding.

    Raises:
        ConfigError: a residual connection would join layers of different sizes.

    Attributes:
        state_size: S.
        resets: whether the state is reset at the start of an episode.
    """

    name: ClassVar[str] = "recurrent_layer"

    def __init__(self, config: RecurrenceConfig, inputs: Inputs) -> None:
        super().__init__()
        self._config = config
        self._hidden = hidden = config.hidden_state_size
        self._lstm = config.layer_type == "lstm"
        self.output_size = hidden
        self.state_size = config.num_layers * hidden * (2 if self._lstm else 1)
        self.sequence_length = config.sequence_length
        self.resets = config.reset_hidden_state
        self.embedding = nn.Sequential()
        if config.embed:
            self.embedding = nn.Sequential(
                orthogonal_(nn.Linear(inputs.size, hidden)), inputs.activation
            )
        first = hidden if config.embed else inputs.size
        if config.residual and first != hidden:
            message = (
                f"adds {hidden} numbers to the encoder's {first}; set embed to true, "
                f"or hidden_state_size to {first}"
            )
            raise ConfigError([Problem("model.recurrence.residual", message)])
        gates = GATES[config.layer_type] * hidden
        sizes = [first] + [hidden] * (config.num_layers - 1)
        self.projections = nn.ModuleList(orthogonal_(nn.Linear(size, gates)) for size in sizes)
        self.recurrents = nn.ModuleList(orthogonal_(nn.Linear(hidden, gates)) for _ in sizes)
        # Learned like the weights, or gathered from the states of the last rollout.
        initial = torch.full((self.state_size,), 1.0 if config.hidden_state_init == "one" else 0.0)
        if config.hidden_state_init == "learned":
            nn.init.normal_(initial, std=0.1)
            self.initial = nn.Parameter(initial)
        else:
            self.register_buffer("initial", initial)
        self.register_buffer("spread", torch.zeros(self.state_size))

    initial: Tensor
    spread: Tensor

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *rest: Any, **named: Any
    ) -> None:
        """Keeps initial states that the config names, whatever those of loaded weights were."""
        if self._config.hidden_state_init in ("zero", "one"):
            state_dict[f"{prefix}initial"] = self.initial
            state_dict[f"{prefix}spread"] = self.spread
        super()._load_from_state_dict(state_dict, prefix, *rest, **named)

    def recurrences(self) -> Iterable[nn.Module]:
        """Returns the layers of the states."""
        return self.recurrents

    def features(self, encoded: Tensor, readout: Readout) -> Tensor:  # noqa: ARG002
        """Returns the embedding and the input projection of the first layer."""
        embedded = self.embedding(encoded)
        projected: Tensor = self.projections[0](embedded)
        return torch.cat((projected, embedded), dim=-1) if self._config.residual else projected

    def begin(self, count: int, generator: Generator, readout: Readout) -> RecurrentState:
        """Returns the initial state of each environment."""
        return RecurrentState(self, count, generator, readout)

    def step(self, features: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
        """Advances N environments: (N, F) and (N, S) to outputs (N, H) and states (N, S)."""
        output, after = self._run(features, states)
        return output, after[0] if len(after) == 1 else torch.cat(after, dim=1)

    def pieces(self, features: Tensor, pieces: Pieces, readout: Readout) -> Tensor:
        """Returns all steps of pieces; see the base class."""
        states: Tensor = pieces.before
        if self._config.hidden_state_init == "learned" and self.resets:
            states = torch.where(pieces.starts[:, None], self.initial, states)
        output, _ = self._run(pieces.of_steps(features), states)
        flat = output.reshape(-1, self._hidden)
        return readout(flat if pieces.steps is None else flat[pieces.steps])

    def initial_states(self, count: int, generator: Generator) -> Tensor:
        """Returns states at the start of episodes, shape (count, S); ``sample`` draws them."""
        states = self.initial.detach().expand(count, -1)
        if self._config.hidden_state_init != "sample":
            return states
        noise = torch.randn(
            states.shape, generator=generator, device=states.device, dtype=states.dtype
        )
        return torch.addcmul(states, noise, self.spread)

    def learn_initial_states(self, states: Tensor) -> None:
        """Keeps mean and standard deviation of each number of the states (…, S) of a rollout."""
        if self._config.hidden_state_init in ("mean", "sample"):
            flat = states.reshape(-1, self.state_size)
            self.initial.copy_(flat.mean(0))
            self.spread.copy_(flat.std(0, unbiased=False))

    def _run(self, features: Tensor, states: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Runs all layers over steps (L, B, F), or over one, (B, F), from states (B, S).

        Returns:
            Outputs (…, H), and those of each layer, (…, H), with the cell (B, H) of an LSTM.
        """
        one = features.dim() == 2
        lstm, gru = (lstm_step, gru_step) if one else (lstm_sequence, gru_sequence)
        projected = output = embedded = features
        if self._config.residual:
            gates = GATES[self._config.layer_type] * self._hidden
            projected, embedded = features.split((gates, self._hidden), dim=-1)
        parts = (states,) if self.state_size == self._hidden else states.split(self._hidden, dim=1)
        after: list[Tensor] = []
        for layer, recurrent in enumerate(self.recurrents):
            if layer > 0:
                projected = self.projections[layer](output)
            weight, bias = recurrent.weight, recurrent.bias
            assert isinstance(weight, Tensor)
            assert isinstance(bias, Tensor)
            if self._lstm:
                state, cell = parts[2 * layer], parts[2 * layer + 1]
                output, cell = lstm(projected, state, cell, weight, bias)
                after += [output, cell]
            else:
                output = gru(projected, parts[layer], weight, bias)
                after.append(output)
        if self._config.residual:  # around all layers
            output = output + embedded
        return output, after


class StateHistory(NamedTuple):
    """The states before each step of a rollout, shape (T · N, S)."""

    states: Tensor

    def before(self, first: np.ndarray) -> Tensor:
        """Returns the states before the pieces, shape (B, S)."""
        return self.states[on_device(first, self.states.device)]


class RecurrentState(MemoryState):
    """The states of N environments.

    Args:
        memory: that the states belong to.
        count: N.
        generator: draws initial states.
        readout: of the memory's output.
    """

    def __init__(
        self, memory: RecurrentMemory, count: int, generator: Generator, readout: Readout
    ) -> None:
        self._memory = memory
        self._generator = generator
        self._readout = readout
        self._states = memory.initial_states(count, generator).clone()
        self._kept: list[Tensor] = []

    def begin_rollout(self, steps: int) -> None:  # noqa: ARG002
        """Starts an empty history, and keeps the states."""
        self._kept = []

    def step(self, features: Tensor) -> Tensor:
        """Advances all environments by one step; see the base class."""
        self._kept.append(self._states)
        output, self._states = self._memory.step(features, self._states)
        return self._readout(output)

    def look(self, features: Tensor, workers: np.ndarray) -> Tensor:
        """Computes outputs of some environments; see the base class."""
        states = self._states[on_device(workers, self._states.device)]
        return self._readout(self._memory.step(features, states)[0])

    def shown(self, features: Tensor) -> dict[str, Tensor]:  # noqa: ARG002
        """Returns the Euclidean norm of the states; see the base class."""
        return {"norm": self._states.norm(dim=1)}

    def begin_episodes(self, workers: np.ndarray) -> None:
        """Resets states if the config asks for it."""
        if self._memory.resets:
            states = self._memory.initial_states(len(workers), self._generator)
            rows = on_device(workers, states.device)
            self._states = self._states.index_copy(0, rows, states)

    def end_rollout(self) -> StateHistory:
        """Returns the states before each step."""
        states = torch.stack(self._kept)
        self._memory.learn_initial_states(states)
        return StateHistory(states.flatten(0, 1))

    def state_dict(self) -> dict[str, Any]:
        """Returns the states."""
        return {"states": self._states}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores the states."""
        self._states = state["states"]
