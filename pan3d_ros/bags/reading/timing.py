"""Stamps of several cameras: how far apart they are, and whether a camera's clock is off. Plain numpy.

Every camera's stamps are (N,) int64 nanoseconds, sorted or not; receipts have the same shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pan3d_ros.parameters.node_config import InputConfig

# A delay from exposure to receipt outside of this is no transfer, it is a wrong clock.
PLAUSIBLE_DELAY_S = (-0.001, 0.4)
MIN_OFFSET_S = 0.015  # smaller differences of delays are transfer, not stamping
CLEAR_OFFSET_S = 0.25  # larger ones are a clock, whatever the stamps look like
OTHER_CLOCK_S = 60.0  # stamps further from the times of receipt are of another clock
IMPROVEMENT = 0.5  # an offset is believed when it brings the stamps of the cameras this much closer together


def nearest_gaps(stamps: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Measure from each stamp to the nearest of others.

    Args:
        stamps: (N,) int64 ns.
        others: (M,) int64 ns, at least one.

    Returns:
        (N,) ns, signed: nearest - stamp.
    """
    others = np.sort(others)
    after = np.clip(np.searchsorted(others, stamps), 0, len(others) - 1)
    before = np.maximum(after - 1, 0)
    closer = np.where(np.abs(others[before] - stamps) <= np.abs(others[after] - stamps), before, after)
    return others[closer] - stamps


def set_spreads(stamps: Sequence[np.ndarray]) -> np.ndarray:
    """(N,) ns: for each image of the slowest camera, the spread with the nearest image of every other camera."""
    slowest = min(stamps, key=len)
    gaps = np.stack([np.zeros_like(slowest), *(nearest_gaps(slowest, other) for other in stamps if other is not slowest)])
    return gaps.max(0) - gaps.min(0)


def clock_offsets_s(stamps: Mapping[str, np.ndarray], received: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Find cameras whose clock is off against the others.

    A camera that stamps late, at arrival instead of exposure, is received with less delay than the others. An offset is
    suggested when it is clearly a clock, or when it brings the camera's stamps at least `IMPROVEMENT` closer to the others'.

    Args:
        stamps: Camera -> (N,) int64 ns, of its images.
        received: Camera -> (N,) int64 ns, when these were received.

    Returns:
        Camera -> seconds to add to its stamps, with the sign of `camera.<name>.time_offset_s`; cameras in order are left out.
    """
    delays = {name: float(np.median(received[name] - stamps[name])) * 1e-9 for name in stamps}
    low, high = PLAUSIBLE_DELAY_S
    plausible = [delay for delay in delays.values() if low <= delay <= high]
    if len(stamps) < 2 or not plausible:
        return {}
    # The longest plausible delay is that of stamps made at exposure; the median guards against one slow camera.
    usual = float(np.median(plausible)) if len(plausible) > 2 else max(plausible)
    offsets = {}
    for name, delay in delays.items():
        offset = delay - usual
        if abs(offset) < MIN_OFFSET_S:
            continue
        if abs(offset) > CLEAR_OFFSET_S or not low <= delay <= high or _improves(name, offset, stamps):
            offsets[name] = round(offset, 3)
    return offsets


def _improves(name: str, offset_s: float, stamps: Mapping[str, np.ndarray]) -> bool:
    others = [times for other, times in stamps.items() if other != name]
    moved = stamps[name] + np.int64(round(offset_s * 1e9))
    before, after = (np.median(set_spreads([times, *others])) for times in (stamps[name], moved))
    return bool(after < IMPROVEMENT * before)


def stamps_refused(delay_s: float, inputs: InputConfig) -> str:
    """Tell whether the node refuses images by the time from stamp to receipt.

    Args:
        delay_s: Median receipt minus stamp; NaN where there are no stamps.
        inputs: Settings of the node.

    Returns:
        Why; "" where it takes them, or the stamps are of another clock, which a replay takes into account.
    """
    if not abs(delay_s) <= OTHER_CLOCK_S:
        return ""
    if inputs.max_future_s and -delay_s > inputs.max_future_s:
        return f"stamps are {-delay_s:.2f} s ahead of their receipt, input.max_future_s is {inputs.max_future_s:g}"
    if inputs.max_image_age_s and delay_s > inputs.max_image_age_s:
        return f"images are received {delay_s:.2f} s after their stamps, input.max_image_age_s is {inputs.max_image_age_s:g}"
    return ""
