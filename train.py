"""Trains one policy, or sweeps with ``-m``; see ``docs/train.md``."""

import sys

from neroRL.train import main

if __name__ == "__main__":
    sys.exit(main())
