"""``python -m train``, the same as ``cxr``."""

import sys

from train.cli import main

sys.exit(main())
