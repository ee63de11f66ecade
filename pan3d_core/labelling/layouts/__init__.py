"""Labelled scenes in the layouts of others; knows scene folders and COCO's files of ids, nothing of how labels are made."""

from pan3d_core.labelling.layouts.bop import write_bop
from pan3d_core.labelling.layouts.coco import read_coco_onto, write_coco

__all__ = ["read_coco_onto", "write_bop", "write_coco"]
