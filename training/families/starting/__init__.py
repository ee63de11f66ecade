"""What a run starts from: weights kept, corrections fitted and heads begun anew; knows files and networks, not the loop."""

from training.families.starting.corrections import fit_corrections
from training.families.starting.kept import Kept
from training.families.starting.mini import assign_start, load_start, start_architecture
from training.families.starting.segvggt import start_segvggt

__all__ = ["Kept", "assign_start", "fit_corrections", "load_start", "start_architecture", "start_segvggt"]
