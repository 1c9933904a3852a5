"""The way in which a training computes, which is no part of what it computes."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

from neroRL.errors import UsageError


@dataclass(frozen=True)
class Manner:
    """The way in which a training computes.

    Attributes:
        compiled: whether ``torch.compile`` compiles the network's layers. The last bits of results
            differ from those of a training that is not compiled.
        low_memory: whether the observations of a rollout stay in main memory, and go to the GPU
            mini batch by mini batch. Results stay the same.
    """

    compiled: bool = False
    low_memory: bool = False

    def check(self) -> None:
        """Refuses what this machine cannot do.

        Raises:
            UsageError: it has no compiler.
        """
        compilers = (os.environ.get("CXX", ""), "g++", "clang++", "c++")
        if self.compiled and not any(map(shutil.which, compilers)):
            raise UsageError("--compile needs a C++ compiler, and there is none: install g++")


PLAIN = Manner()
