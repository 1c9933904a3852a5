"""The network: encoder, memory, hidden layers, and the heads of policy and value."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from neroRL.config.schema import ModelConfig
from neroRL.environments.specification import EnvironmentSpec
from neroRL.models.bfloat16 import (
    FEWEST_INPUTS,
    FEWEST_PRODUCTS,
    FEWEST_WEIGHTS,
    ConvolutionInBfloat16,
    LinearInBfloat16,
    lower,
)
from neroRL.models.dense import DenseNetwork
from neroRL.models.distributions.factory import make_distribution
from neroRL.models.encoders import Encoder, Observations, activation_of_linear
from neroRL.models.heads import Heads
from neroRL.models.initialisation import orthogonal_
from neroRL.models.memory.factory import make_memory
from neroRL.models.memory.interface import Inputs, MemoryState, Pieces
from neroRL.models.memory.none import NoMemory


class ActorCritic(nn.Module):
    """The policy and the value function, with a shared encoder and memory.

    Outputs, (…, O), hold the parameters of the distribution over actions, then the value.

    Args:
        config: of the model.
        specification: of the environment.

    Attributes:
        distribution: of the actions.
        memory: of the episode so far.
    """

    def __init__(self, config: ModelConfig, specification: EnvironmentSpec) -> None:
        super().__init__()
        self.distribution = make_distribution(specification, config)
        activation = activation_of_linear(config.activation)
        self.encoder = Encoder(config, specification)
        self.memory = make_memory(
            config,
            Inputs(self.encoder.output_size, activation, specification.max_episode_steps),
        )
        layers: list[nn.Module] = []
        size = self.memory.output_size
        for _ in range(config.num_hidden_layers):
            layers += [orthogonal_(nn.Linear(size, config.num_hidden_units)), activation]
            size = config.num_hidden_units
        self.hidden = nn.Sequential(*layers)
        self.heads = Heads(size, self.distribution, activation)
        self._tail: DenseNetwork | None = None

    def dense_network(self) -> DenseNetwork | None:
        """Returns the whole network with written-out gradients, if it is a dense one."""
        if self.encoder.vector is None or self.encoder.visual is not None:
            return None
        if not isinstance(self.memory, NoMemory):
            return None
        return DenseNetwork.of([self.encoder.vector, self.hidden], self.heads)

    def begin_rollout(self) -> None:
        """Prepares for outputs of few rows, until a weight changes; see the dense network."""
        if self._tail is not None:
            self._tail.begin_rollout()

    def features(self, observations: Observations) -> Tensor:
        """Computes the features of single observations; see the memory's interface.

        Args:
            observations: R each, as the encoder takes them.

        Returns:
            Shape (R, F).
        """
        return self.memory.features(self.encoder(observations), self._readout)

    def begin(self, count: int, generator: Generator) -> MemoryState:
        """Returns the memory of ``count`` environments at the start of their episodes."""
        return self.memory.begin(count, generator, self._readout)

    def pieces(self, features: Tensor, pieces: Pieces) -> Tensor:
        """Computes the outputs (M, O) of pieces of episodes from features (R, F)."""
        return self.memory.pieces(features, pieces, self._readout)

    def large_layers(self, rows: int) -> list[nn.Linear | nn.Conv2d]:
        """Returns the layers that :meth:`use_bfloat16` changes; see :mod:`neroRL.models.bfloat16`.

        They are neither last layers nor computed step by step.

        Args:
            rows: of a mini batch.
        """
        kept = {*self.heads.last(), *self.memory.recurrences()}
        return [
            layer
            for layer in self.modules()
            if isinstance(layer, nn.Linear | nn.Conv2d)
            and layer.weight[0].numel() >= FEWEST_INPUTS
            and layer.weight.numel() >= FEWEST_WEIGHTS
            and (isinstance(layer, nn.Conv2d) or rows * layer.weight.numel() >= FEWEST_PRODUCTS)
            and layer not in kept
        ]

    def use_bfloat16(self, rows: int) -> bool:
        """Lets the large layers multiply in bfloat16 from now on, and returns whether any does.

        Args:
            rows: of a mini batch of the training.
        """
        large = self.large_layers(rows)
        for layer in large:
            lower(layer)
        if large:
            self._tail = DenseNetwork.of([self.hidden], self.heads)
        return bool(large)

    def compile_layers(self) -> None:
        """Compiles the layers with ``torch.compile`` when they are first used.

        The memory's steps have written-out gradients already and stay as they are. Batches have
        many sizes, so the layers are compiled for all of them at once. Layers in bfloat16, which
        remember their rounded weights, stay as they are, too.
        """
        self._tail = None
        for layer in self.modules():
            if isinstance(layer, LinearInBfloat16 | ConvolutionInBfloat16):
                layer.forward = torch.compiler.disable(layer.forward)  # type: ignore[method-assign]
        for layers in (self.encoder.visual, self.encoder.vector, self.hidden, self.heads):
            if layers is not None:
                layers.compile(dynamic=True)

    def _readout(self, remembered: Tensor) -> Tensor:
        if self._tail is not None:
            return self._tail.readout(remembered)
        outputs: Tensor = self.heads(self.hidden(remembered))
        return outputs


def seeded_model(config: ModelConfig, specification: EnvironmentSpec, seed: int) -> ActorCritic:
    """Makes a network whose initial weights depend on the seed alone.

    torch's global generator and number of threads stay as they were. With several threads,
    orthogonal weights would differ in their last bits and take several times longer.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return ActorCritic(config, specification)
    finally:
        torch.set_num_threads(threads)
