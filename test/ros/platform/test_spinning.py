"""What ends, or does not end, the spinning of nodes that stay."""

import pytest
from rclpy.exceptions import InvalidHandle

from pan3d_ros.platform.rclpy_private import RCLError, spin

GONE = "Failed to add 'rcl_action_server_t' to wait set: action server pointer is invalid, at rcl_action/action_server.c:998"


class Failing:
    """An executor that raises one thing after the other, and then ends."""

    def __init__(self, *raised):
        self.raised = list(raised)

    def spin(self):
        if self.raised:
            raise self.raised.pop(0)


@pytest.mark.parametrize("error", [RCLError(GONE), InvalidHandle("destroyed")], ids=["action server", "subscription"])
def test_what_is_destroyed_meanwhile_is_no_failure(error):
    executor, told = Failing(error, error), []
    spin(executor, told.append)
    assert executor.raised == [] and told == []


def test_what_callbacks_raise_is_told_and_spinning_goes_on():
    raised = [ValueError("odd message"), RCLError("failed to publish")]
    executor, told = Failing(*raised), []
    spin(executor, told.append)
    assert executor.raised == [] and told == raised


def test_what_is_of_no_listed_family_ends_it():
    with pytest.raises(KeyboardInterrupt):
        spin(Failing(KeyboardInterrupt()), print)
