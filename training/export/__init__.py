"""From a run to the weight file that an engine loads, and its model card; knows families and judges."""

from training.export.exporters import EXPORTERS, export_run
from training.export.model_card import write_card
from training.export.request import ExportRequest

__all__ = ["EXPORTERS", "ExportRequest", "export_run", "write_card"]
