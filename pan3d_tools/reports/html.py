"""Self-contained HTML pages: headings, sentences, tables and pictures in one file that opens anywhere."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pan3d_core.runtime.files import written_whole

STYLE = """
body { font: 15px/1.55 system-ui, sans-serif; color: #1f2328; background: #fff; }
body { margin: 2.2rem auto; max-width: 1360px; padding: 0 1.2rem; }
h1 { font-size: 1.6rem; margin-bottom: .3rem; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .8rem; border-bottom: 1px solid #d9dce0; padding-bottom: .2rem; }
p.note { color: #59636e; }
.row { display: flex; flex-wrap: wrap; gap: 14px; align-items: flex-start; }
figure { margin: 0; } figcaption { font-size: 13px; color: #59636e; margin-top: 3px; }
figure img { display: block; max-width: 100%; border-radius: 4px; background: #f0f0ee; }
table { border-collapse: collapse; } th { font-weight: 600; background: #f4f5f6; }
td, th { border: 1px solid #d9dce0; padding: 4px 11px; text-align: left; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
i.swatch { display: inline-block; width: 12px; height: 12px; border-radius: 3px; margin-right: 7px; }
"""


class Report:
    """A page that grows from top to bottom; nothing is written before `write`."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._parts = [f"<h1>{html.escape(title)}</h1>"]

    def section(self, heading: str) -> None:
        """Start a new section."""
        self._parts.append(f"<h2>{html.escape(heading)}</h2>")

    def text(self, sentence: str, *, note: bool = False) -> None:
        """A paragraph; `note` prints it in grey."""
        self._parts.append(f"<p{' class=note' if note else ''}>{html.escape(sentence)}</p>")

    def table(self, head: Sequence[str], rows: Sequence[Sequence[object]], colors: Sequence[tuple[int, int, int]] = ()) -> None:
        """A table; numbers are set to the right, floats with three significant digits. `colors`: a swatch per row."""
        lines = ["<table><tr>" + "".join(f"<th>{html.escape(name)}</th>" for name in head) + "</tr>"]
        for index, row in enumerate(rows):
            cells = [_cell(value) for value in row]
            if index < len(colors):
                swatch = f'<i class=swatch style="background:rgb{tuple(colors[index])}"></i>'
                cells[0] = cells[0].replace(">", f">{swatch}", 1)
            lines.append("<tr>" + "".join(cells) + "</tr>")
        self._parts.append("\n".join(lines) + "</table>")

    def pictures(self, pictures: Sequence[np.ndarray], captions: Sequence[str] = (), *, width: int = 640) -> None:
        """(H, W, 3) uint8 pictures side by side, shown `width` pixels wide."""
        figures = []
        for index, picture in enumerate(pictures):
            caption = f"<figcaption>{html.escape(captions[index])}</figcaption>" if index < len(captions) else ""
            figures.append(f'<figure><img width="{width}" alt="" src="{_data_uri(picture)}">{caption}</figure>')
        self._parts.append("<div class=row>" + "\n".join(figures) + "</div>")

    def write(self, path: Path | str) -> Path:
        """Write the page; its folder is made where needed."""
        head = (
            f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{html.escape(self.title)}</title>'
        )
        body = "\n".join(self._parts)
        page = f"<!doctype html><html lang=en><head>{head}<style>{STYLE}</style></head>\n<body>{body}</body></html>\n"
        with written_whole(path) as part:
            part.write_text(page, encoding="utf-8")
        return Path(path)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"<td class=number>{value:.3g}</td>"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"<td class=number>{value}</td>"
    return f"<td>{html.escape(str(value))}</td>"


def _data_uri(picture: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=90, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
