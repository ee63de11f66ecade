"""Tables of four papers, each from one call, beside what the paper has; they know data sets, protocols, engines and maps."""

from pan3d_eval.published.page import table_page, table_values
from pan3d_eval.published.protocol import PublishedProtocol, PublishedTable
from pan3d_eval.published.run import PublishedChoices, TableOutcome, evaluate_published
from pan3d_eval.published.tables import PROTOCOLS

__all__ = [
    "PROTOCOLS",
    "PublishedChoices",
    "PublishedProtocol",
    "PublishedTable",
    "TableOutcome",
    "evaluate_published",
    "table_page",
    "table_values",
]
