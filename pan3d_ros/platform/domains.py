"""ROS domains that belong to one process of this machine, so that programs that run at once do not hear each other."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

# 0 is everybody's default. From 102 on the ports of a domain are among those that Linux hands out on its own.
DOMAIN_IDS = range(1, 102)
VARIABLE = "ROS_DOMAIN_ID"


@dataclass(frozen=True)
class DomainClaim:
    """A ROS domain that belongs to this process until it is released or the process ends, however it ends.

    The claim is a name of a socket in Linux's abstract namespace: nothing is left on disk, it needs no rights, and it
    reaches as far as the network in which the domain's participants could meet.
    """

    domain_id: int
    _holder: socket.socket

    def release(self) -> None:
        """Let others have the domain; harmless when it is done twice."""
        self._holder.close()

    def __enter__(self) -> DomainClaim:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def claim_domain() -> DomainClaim:
    """Claim a domain that nobody has claimed and in which no participant of this machine is.

    Keep the claim for as long as the domain is used: it ends with the object.

    Raises:
        RuntimeError: Every domain is taken.
    """
    # Another first choice for each process: a domain that was just left is still remembered by those who met there.
    first = os.getpid() % len(DOMAIN_IDS)
    for domain_id in [*DOMAIN_IDS[first:], *DOMAIN_IDS[:first]]:
        holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            holder.bind(f"\0pan3d_ros_domain_{domain_id}")
        except OSError:  # another process has it
            holder.close()
            continue
        if is_quiet(domain_id):
            return DomainClaim(domain_id, holder)
        holder.close()
    raise RuntimeError(f"all ROS domains from {DOMAIN_IDS[0]} to {DOMAIN_IDS[-1]} are taken on this machine")


def is_quiet(domain_id: int) -> bool:
    """Tell whether no participant of this machine listens for others of this domain, by the port that DDS prescribes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", 7400 + 250 * domain_id))
        except OSError:
            return False
    return True


@contextmanager
def domain_of_environment() -> Iterator[int]:
    """Give the domain that `ROS_DOMAIN_ID` names; where it is not set, claim one and set it while the block runs."""
    if os.environ.get(VARIABLE):
        yield int(os.environ[VARIABLE])
        return
    with claim_domain() as claim:
        os.environ[VARIABLE] = str(claim.domain_id)
        try:
            yield claim.domain_id
        finally:
            del os.environ[VARIABLE]
