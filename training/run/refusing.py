"""How the commands of this package say that a request cannot be met: a line, not the way through the code that led there."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

REFUSED = 2  # the exit code, as that of `pan3d`
TRACEBACKS = "PAN3D_TRACEBACKS"  # with this variable set to anything tracebacks are shown


@contextmanager
def refusing(program: str) -> Iterator[None]:
    """End the process with a line where the block meets settings, files or data that cannot be used.

    Args:
        program: Its name, for the line.

    Raises:
        SystemExit: With `REFUSED`, in the place of `ValueError` and `OSError`; of these themselves where `TRACEBACKS` is set.
    """
    try:
        yield
    except (ValueError, OSError) as error:
        if os.environ.get(TRACEBACKS):
            raise
        sys.stdout.flush()
        print(f"{program}: error: {error}", file=sys.stderr, flush=True)
        raise SystemExit(REFUSED) from error
