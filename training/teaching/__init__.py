"""From a data set of labelled recordings to weights of one's own: data mixed, a run of the trainer, figures before and after."""

from training.teaching.data import DataPlan, TeachingData, prepare
from training.teaching.gain import Gain, gain_of
from training.teaching.run import TeachRequest, TeachResult, teach

__all__ = ["DataPlan", "Gain", "TeachRequest", "TeachResult", "TeachingData", "gain_of", "prepare", "teach"]
