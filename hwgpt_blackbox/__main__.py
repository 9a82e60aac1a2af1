"""``python -m hwgpt_blackbox`` is the command line."""

import sys

from hwgpt_blackbox.cli import main

sys.exit(main())
