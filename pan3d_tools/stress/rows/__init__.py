"""The rows, one module per family of faults; rows are data and know messages by their fields alone."""

from pan3d_tools.stress.faults import Row, rows_of
from pan3d_tools.stress.rows import calibrations, parameters, pictures, poses, procedures, requests, times

__all__ = ["ROWS"]

ROWS: tuple[Row, ...] = rows_of(
    (
        *pictures.FAULTS,
        *calibrations.FAULTS,
        *poses.FAULTS,
        *times.FAULTS,
        *requests.FAULTS,
        *parameters.FAULTS,
        *procedures.FAULTS,
    )
)
