"""Hooks: what connects the parts to the runner."""

from .batch_norm_sync_hook import BatchNormSyncHook
from .channels_last_hook import ChannelsLastHook
from .class_counts_hook import ClassCountsHook
from .classifier_init_hook import ClassifierInitHook
from .confusion_pairs_hook import ConfusionPairsHook
from .deferred_reweighting_hook import DeferredReweightingHook
from .ema_confusion_hook import EMAConfusionHook
from .epoch_seed_hook import EpochSeedHook
from .long_tail_hook import LongTailHook
from .resume_check_hook import ResumeCheckHook
from .sam_hook import SAMHook
from .skipped_images_hook import SkippedImagesHook
from .training_progress_hook import TrainingProgressHook
from .weights_check import WeightsCheckHook
from .within_epoch_hook import WithinEpochHook

__all__ = [
    'BatchNormSyncHook',
    'ChannelsLastHook',
    'ClassCountsHook',
    'ClassifierInitHook',
    'ConfusionPairsHook',
    'DeferredReweightingHook',
    'EMAConfusionHook',
    'EpochSeedHook',
    'LongTailHook',
    'ResumeCheckHook',
    'SAMHook',
    'SkippedImagesHook',
    'TrainingProgressHook',
    'WeightsCheckHook',
    'WithinEpochHook',
]
