"""Makes the distribution over the actions of an environment."""

from __future__ import annotations

from neroRL.config.schema import ModelConfig
from neroRL.environments.specification import Binary, Continuous, EnvironmentSpec, Mixed, Simple
from neroRL.models.distributions.bernoulli import Bernoullis
from neroRL.models.distributions.categorical import Categoricals
from neroRL.models.distributions.gaussian import Gaussian
from neroRL.models.distributions.interface import Distribution
from neroRL.models.distributions.mixed import SideBySide


def make_distribution(specification: EnvironmentSpec, config: ModelConfig) -> Distribution:
    """Makes the distribution over the actions of an environment."""
    actions = specification.actions
    if isinstance(actions, Mixed):
        return SideBySide([_distribution(part, config) for part in actions.parts])
    return _distribution(actions, config)


def _distribution(actions: Simple, config: ModelConfig) -> Distribution:
    if isinstance(actions, Continuous):
        return Gaussian(actions, config.log_std_init)
    if isinstance(actions, Binary):
        return Bernoullis(actions.count)
    return Categoricals(actions)
