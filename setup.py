"""For colcon, which builds ament_python packages by this file; everything else stands in pyproject.toml."""

from pathlib import Path

from setuptools import setup

# With --symlink-install colcon runs a link to this file in its build folder, beside links to the packages only.
if Path(__file__).is_symlink():
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        link = Path(__file__).with_name(name)
        if not link.exists():
            link.symlink_to(Path(__file__).resolve().with_name(name))

distribution = setup()
# colcon reads the configuration back as Python literals, and the object that setuptools makes of requires-python is none.
for holder in (distribution, distribution.metadata):
    holder.python_requires = str(holder.python_requires)
