"""What a picker is not built from."""

import pytest

from pan3d_core.config import PipelineConfig
from pan3d_core.picking import PickerConfig, build_picker


def test_a_picker_wants_jaws():
    config = PickerConfig(PipelineConfig.from_flat({"grasp.gripper.kind": "suction"}))
    with pytest.raises(ValueError, match=r"grasp.gripper.kind: expected parallel, whose jaws a picker feels, got suction"):
        build_picker(None, "", None, config)
