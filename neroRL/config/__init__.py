"""The typed configuration: schema, files, checks. Nothing here imports torch."""

from neroRL.config.checks import (
    as_mapping,
    build,
    cautions,
    cross_check,
    environment_steps,
    ports_needed,
)
from neroRL.config.schema import Config, EnvironmentConfig

__all__ = [
    "Config",
    "EnvironmentConfig",
    "as_mapping",
    "build",
    "cautions",
    "cross_check",
    "environment_steps",
    "ports_needed",
]
