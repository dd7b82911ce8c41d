"""``python -m vsq``: the command line."""

import sys

from vsq.cli.main import main

sys.exit(main())
