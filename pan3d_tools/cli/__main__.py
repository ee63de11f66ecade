"""`python -m pan3d_tools.cli`."""

import sys

from pan3d_tools.cli import main

sys.exit(main())
