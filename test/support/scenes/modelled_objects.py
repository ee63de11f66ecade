"""A small catalogue of models, made up: what the real one holds in kind, without its files."""

import io
import zipfile

import numpy as np
from PIL import Image

_CUBE = """mtllib cube.mtl
v 0 0 0
v 2 0 0
v 2 4 0
v 0 4 0
v 0 0 6
v 2 0 6
v 2 4 6
v 0 4 6
vt 0 0
vt 1 0
vt 1 1
vt 0 1
usemtl paint
f 1 4 3 2
f 5 6 7 8
f 1 2 6 5
f 4 8 7 3
usemtl print
f 2/1 3/2 7/3 6/4
f -8/-4 -4/-3 -1/-2 -5/-1
"""
_MTL = "newmtl paint\nKd 0.8 0.1 0.1\nKs 0.5 0.5 0.5\nnewmtl print\nKd 1 1 1\nmap_Kd ./pictures/print.png\n"
_FLAT = "v 0 0 0\nv 1 0 0\nv 1 0 1\nf 1 2 3\n"
_ROW = "id#{n}=Test#{name}\nname#{n}={name}\nmodel#{n}=/models/{name}/{name}.obj\ncreator#{n}=Ann\n{size}"
_SIZE = "width#{n}=10\ndepth#{n}=30\nheight#{n}=20\n"


def picture(size=(8, 4)) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((size[1], size[0], 3), (0, 0, 250), np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def write_catalogue(path, *, texture=None, without_sizes=False):
    """A catalogue with the models `cube`, `flat` and `broken`."""
    rows = []
    for number, name in enumerate(("cube", "flat", "broken"), start=1):
        rows.append(_ROW.format(n=number, name=name, size="" if without_sizes else _SIZE.format(n=number)))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("PluginFurnitureCatalog.properties", "\n".join(rows))
        archive.writestr("models/cube/cube.obj", _CUBE)
        archive.writestr("models/cube/cube.mtl", _MTL)
        archive.writestr("models/cube/pictures/print.png", picture() if texture is None else texture)
        archive.writestr("models/flat/flat.obj", _FLAT)
        archive.writestr("models/broken/broken.obj", "v 0 0 zero\nf 1 2 3\n")
    return path
