"""`scripts/make_keystore.py` as a module."""

import importlib.util

from places import ROOT

_spec = importlib.util.spec_from_file_location("make_keystore", ROOT / "scripts" / "make_keystore.py")
make_keystore = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make_keystore)
