"""The published protocols: SegVGGT, FAST3DIS, EPS3D and PanopticSplatting, each as rows of data.

Papers print per cent or shares; here all are 0..1. What a paper does not say is in `assumed`, and the printed table repeats it.
"""

from __future__ import annotations

from pan3d_core.labels import LabelSpace
from pan3d_eval.datasets import ViewSelection
from pan3d_eval.protocols.eps3d import CLASSES as EPS3D_CLASSES
from pan3d_eval.protocols.eps3d import LABELS as EPS3D_LABELS
from pan3d_eval.protocols.eps3d import THINGS as EPS3D_THINGS
from pan3d_eval.published.protocol import (
    Block,
    MapSetting,
    MaskSetting,
    PaperLine,
    PublishedProtocol,
    PublishedTable,
    RenderSetting,
)
from pan3d_eval.rendered.true_views import ClassList

NINE = "AP is ScanNet's program's mean of IoU > 0.50 to 0.90; the paper writes 50-95 (figures.json has the mean with 0.95 too)"
NAMED = (("mAP", "named ap"), ("mAP50", "named ap50"), ("mAP25", "named ap25"))
PLAIN = (("mAP", "ap"), ("mAP50", "ap50"), ("mAP25", "ap25"))

_EVERY_20TH = ViewSelection(count=0, stride=20)
_POSED = (
    NINE,
    "a vertex is in a mask where at least half of the views that see it have it there",
    "mask threshold and smallest mask are the engine's own (SegVGGT: 0.4, 200 pixels)",
)


def _segvggt(key: str, title: str, classes: int, named: tuple[float, ...], plain: tuple[float, ...]) -> PublishedTable:
    return PublishedTable(
        key=key,
        title=title,
        dataset="scannet",
        views=_EVERY_20TH,
        size=(518, 392),
        setting=MaskSetting("posed", "scannetv2" if classes == 18 else "scannet200", classes, named=True),
        blocks=(
            Block("with names", "Table 1", NAMED, (PaperLine("SegVGGT", named),)),
            Block("class-agnostic", "Table 2, 10 random scenes", PLAIN, (PaperLine("SegVGGT", plain),)),
        ),
        scenes="validation, 312 scenes; Table 2: 10 of them, not listed",
        assumed=(*_POSED, "the paper's text has lost the rate of images of Table 2: every 20th, as for Table 1"),
    )


_SEGVGGT_SCANNETPP = PublishedTable(
    key="scannetpp", title="ScanNet++, 84 classes, without training on it", dataset="scannetpp", views=_EVERY_20TH,
    size=(518, 392), setting=MaskSetting("posed", "own", 84),
    blocks=(Block("class-agnostic", "Table 2, 10 random scenes", PLAIN, (PaperLine("SegVGGT", (0.133, 0.339, 0.564)),)),),
    scenes="10 of the validation scenes, not listed",
    assumed=(*_POSED, "the paper's text has lost the rate of images: every 20th"),
)  # fmt: skip

SEGVGGT = PublishedProtocol(
    "segvggt",
    "SegVGGT, section 4 and appendix",
    "segvggt",
    (
        _segvggt("scannetv2", "ScanNet v2, 18 classes", 18, (0.504, 0.717, 0.870), (0.629, 0.874, 0.974)),
        _segvggt("scannet200", "ScanNet200, 198 classes", 198, (0.319, 0.457, 0.537), (0.537, 0.802, 0.899)),
        _SEGVGGT_SCANNETPP,
    ),
)


def _fast3dis(key: str, title: str, dataset: str, values: tuple[float, ...]) -> PublishedTable:
    return PublishedTable(
        key=key,
        title=title,
        dataset=dataset,
        views=ViewSelection(count=50),
        size=(504, 378),
        setting=MaskSetting("unposed", "scannetv2" if dataset == "scannet" else "own", min_views=3),
        blocks=(Block("class-agnostic", "Table 1", (PLAIN[2], PLAIN[1], PLAIN[0]), (PaperLine("FAST3DIS", values),)),),
        scenes="not listed",
        assumed=(
            NINE,
            "closest points with scale: ten rounds, gates 0.25 m and 0.10 m, 20,000 points; votes within 0.05 m",
            "a predicted point votes for its likeliest instance alone",
        ),
    )


FAST3DIS = PublishedProtocol(
    "fast3dis",
    "FAST3DIS, section 4.4",
    "fast3dis",
    (
        _fast3dis("scannetv2", "ScanNet v2", "scannet", (0.316, 0.096, 0.038)),
        _fast3dis("scannetpp", "ScanNet++", "scannetpp", (0.147, 0.035, 0.010)),
        _fast3dis("replica", "Replica", "replica", (0.303, 0.138, 0.051)),
    ),
)

_QUALITY = (("mIoU", "semantic_miou"), ("acc.", "semantic_accuracy"), ("inst. mIoU", "instance_miou"), ("F", "instance_f"))
_BOTH = tuple((f"{kind}: {head}", f"{kind} {name}") for kind in ("context", "novel") for head, name in _QUALITY)
_PANOPTIC = tuple((f"novel: {name.upper()}", f"novel {name}") for name in ("pq", "sq", "rq"))
# The prompts for ScanNet, one for everything else among them, and for Replica, where nothing stands for what is called otherwise.
EPS3D_SCANNET = ClassList(LabelSpace(EPS3D_CLASSES[1:], EPS3D_LABELS.is_thing[1:]), other="other")
_REPLICA_PROMPTS = ("wall", "ceiling", "floor", "chair", "blinds", "sofa", "table", "rug", "window")
EPS3D_REPLICA = ClassList(LabelSpace(_REPLICA_PROMPTS, tuple(name in EPS3D_THINGS for name in _REPLICA_PROMPTS)))
_RENDERED = (
    "novel cameras stand where a similarity from the true to the predicted context cameras puts them; the released program "
    "predicts them",
    "the paper's images are those of another project's preparation: here so many images of the recording lie between two",
)
_FIRST_15 = ViewSelection(count=15, stride=20, stretch=(0, 2))


def _eps3d(key: str, dataset: str, classes: ClassList, values: tuple[float, ...], panoptic: tuple[float, ...]) -> PublishedTable:
    more = () if dataset == "scannet" else ("names other than the nine prompts count as not annotated; things as in ScanNet",)
    return PublishedTable(
        key=key,
        title=f"{'ScanNet' if dataset == 'scannet' else 'Replica'}, 8 views",
        dataset=dataset,
        views=_FIRST_15,
        size=(448, 448),
        setting=RenderSetting("alternate", classes),
        blocks=(
            Block("semantics and instances", "Table 2", _BOTH, (PaperLine("EPS3D", values),)),
            Block("panoptic", "Table 3", _PANOPTIC, (PaperLine("EPS3D", panoptic),)),
        ),
        scenes="40 scenes as LSM prepared them, less three" if dataset == "scannet" else "the 8 scenes",
        assumed=(
            *_RENDERED,
            *more,
            "the released program prints SQ and RQ in each other's columns; which of them Table 3 has is open",
        ),
    )


EPS3D = PublishedProtocol(
    "eps3d",
    "EPS3D, section 4 and appendix",
    "eps3d",
    (
        PublishedTable(
            key="scannet-2",
            title="ScanNet, 2 views",
            dataset="scannet",
            views=_EVERY_20TH,
            size=(448, 448),
            setting=RenderSetting("neighbours", EPS3D_SCANNET, min_views=3),
            blocks=(
                Block(
                    "semantics and instances",
                    "Table 1",
                    _BOTH,
                    (PaperLine("EPS3D", (0.6323, 0.8465, 0.4147, 0.4552, 0.6432, 0.8555, 0.4227, 0.4387)),),
                ),
            ),
            scenes="40 scenes as LSM prepared them, less three",
            assumed=(*_RENDERED, "novel are the images whose place modulo 8 is 1 or 4; the paper's list of them is not public"),
        ),
        _eps3d(
            "scannet-8", "scannet", EPS3D_SCANNET,
            (0.6314, 0.8546, 0.4602, 0.4044, 0.6169, 0.8469, 0.3912, 0.4329), (0.5304, 0.6643, 0.6759),
        ),
        _eps3d(
            "replica-8", "replica", EPS3D_REPLICA,
            (0.4999, 0.8629, 0.3382, 0.3232, 0.4833, 0.8512, 0.3468, 0.3106), (0.3539, 0.4925, 0.4166),
        ),
    ),
)  # fmt: skip


def _panopticsplatting(key: str, title: str, dataset: str, pq: float) -> PublishedTable:
    return PublishedTable(
        key=key,
        title=title,
        dataset=dataset,
        views=_EVERY_20TH,
        size=(640, 480),
        setting=MapSetting(),
        blocks=(Block("panoptic, loose", "abstract", (("loose PQ", "loose_pq"),), (PaperLine("PanopticSplatting", (pq,)),)),),
        scenes="not listed",
        assumed=(
            "PQ as PanopticRecon++'s evaluator takes it: IoU over 0.1 at a quarter of the resolution; not comparable with PQ",
            "classes that are in the scene count; the paper has a list of prompts per scene, which is not public",
            "views, their size, the number of first Gaussians",
            "settings of the refinement where the paper is silent: those of 3D Gaussian splatting, or ours",
        ),
    )


PANOPTICSPLATTING = PublishedProtocol(
    "panopticsplatting",
    "PanopticSplatting, arXiv 2503.18073",
    "pan3d-mini",
    (
        _panopticsplatting("scannetv2", "ScanNet v2", "scannet", 0.7475),
        _panopticsplatting("scannetpp", "ScanNet++", "scannetpp", 0.7773),
    ),
)

PROTOCOLS = {item.key: item for item in (SEGVGGT, FAST3DIS, EPS3D, PANOPTICSPLATTING)}
