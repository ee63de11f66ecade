"""`pan3d teach review`: a person goes through the objects of a labelled data set, in the browser."""

from __future__ import annotations

import argparse
from pathlib import Path

from pan3d_core.labelling.review import JOURNAL_FILE, Review, Reviewed
from pan3d_tools.cli.live.serving import add_page_options, given_page_options, serve_until_interrupted
from pan3d_tools.review import ReviewPage, ReviewPageSettings


def add_review(parser: argparse.ArgumentParser) -> None:
    """Put the options of `review` on its parser."""
    parser.set_defaults(command=run_review)
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="folder of `pan3d teach label`")
    parser.add_argument(
        "--finish", action="store_true", help="bring what was decided so far into the scene folders, without a page"
    )
    add_page_options(parser)


def run_review(options: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C, or finish without one."""
    review = Review(options.dataset)
    if review.completed is not None:
        print(f"a review whose end was interrupted is in the scenes now; decisions: {review.completed}")
    if options.finish:
        try:
            _say(review.finish(), options.dataset)
        finally:
            review.close()
        return 0
    page = ReviewPage(review, ReviewPageSettings(**given_page_options(options)))
    code = serve_until_interrupted(page, f"{len(review.state.objects)} objects of {options.dataset}")
    if page.done is not None:
        _say(page.done, options.dataset)
    elif review.state.decided:
        print(f"{review.state.decided} of {len(review.state.objects)} decided, kept in {options.dataset / JOURNAL_FILE}; "
              "the same command goes on, --finish brings them into the scenes")  # fmt: skip
    return code


def _say(done: Reviewed, dataset: Path) -> None:
    for note in done.notes:
        print(f"note: {note}")
    print(f"{done.decided} of {done.objects} objects are decided; {len(done.scenes)} scenes of {dataset} are written")
    print(f"decisions: {done.journal}")
