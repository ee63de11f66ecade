"""Point the CMake exports of the installed ROS 2 wheels at this virtual environment.

The wheels name the Python and NumPy include folders of the machine that built them
(`/opt/python/cpXY-cpXY/...`). Running it twice changes nothing the second time.
"""

from __future__ import annotations

import os
import re
import sys
import sysconfig
import tempfile
from pathlib import Path

BUILD_PREFIX = r"/opt/python/cp\d+-cp\d+t?"


def repaired(text: str, include: str, site_packages: str, prefix: str) -> str:
    """`text` with the build machine's include folder, site-packages and prefix replaced."""
    text = re.sub(BUILD_PREFIX + r"/include/python[\d.]+t?", lambda _: include, text)
    text = re.sub(BUILD_PREFIX + r"/lib/python[\d.]+t?/site-packages", lambda _: site_packages, text)
    return re.sub(BUILD_PREFIX, lambda _: prefix, text)


def replace_file(path: Path, text: str) -> None:
    """Write beside and rename: installers hard-link files from their cache, and the cache must stay as it is."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    os.chmod(temporary, path.stat().st_mode)
    os.replace(temporary, path)


def repair(prefix: Path, include: str, site_packages: str) -> int:
    """Repair every exported file below `prefix`/share; returns how many changed."""
    candidates = list(prefix.glob("share/*/cmake/*.cmake"))
    candidates += prefix.glob("share/ament_index/resource_index/parent_prefix_path/*")
    changed = 0
    for path in candidates:
        text = path.read_text()
        new = repaired(text, include, site_packages, str(prefix))
        if new != text:
            replace_file(path, new)
            changed += 1
    return changed


if __name__ == "__main__":
    count = repair(Path(sys.prefix), sysconfig.get_path("include"), sysconfig.get_path("purelib"))
    print(f"repaired {count} files")
