"""`python -m pan3d_core.cli`."""

import sys

from pan3d_core.cli import main

sys.exit(main())
