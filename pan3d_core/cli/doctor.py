"""`pan3d doctor`."""

from __future__ import annotations

import argparse

from pan3d_core.cli.options import add_command


def add(commands: argparse._SubParsersAction) -> None:
    """Put the command and its options on the parser."""
    add_command(commands, "doctor", run_doctor, "check the installation and say how to mend what is missing")


def run_doctor(options: argparse.Namespace) -> int:
    """State of the installation; 1 when something needed is missing."""
    from pan3d_core import doctor

    checks = doctor.run_checks()
    print(doctor.format_report(checks))
    return doctor.exit_code(checks)
