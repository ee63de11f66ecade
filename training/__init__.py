"""From scenes to a checkpoint: one loop for all families, and what it needs; nothing of the product imports it."""

from pan3d_core.runtime.ending.asked import end_at_once_if

end_at_once_if("train")
