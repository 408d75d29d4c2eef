"""The maths of long-tailed recognition, on tensors and arrays: torch and numpy only.

Everything here runs without a config, a registry or a runner. A confusion matrix is
``confusion[true, predicted]``; ``class_counts`` are training images per class, ``(K,)``.
"""

from .confusion.pairs import pair_distribution
from .confusion.soft import soft_confusion, top_confused_pairs
from .confusion.spectral import spectral_norm
from .contrastive import balanced_contrastive_loss
from .counts import (
    class_prior,
    count_labels,
    effective_number_weights,
    frequency_weights,
    shot_groups,
)
from .distributed import all_reduce_sum, gather_with_grad
from .imbalance import exponential_class_counts, long_tail_indices, step_class_counts
from .ldam import ldam_cross_entropy, ldam_margins
from .logit_adjustment import (
    adjust_logits,
    adjusted_bias,
    logit_adjusted_cross_entropy,
    tau_normalize,
)
from .metrics.figures import long_tail_figures
from .mixing import cutmix_box, mixed_label_weight
from .proco import proco_logits
from .sam import ascent_step
from .sampling import class_sampling_probabilities
from .semantic_labels import label_confidence, semantic_scores, semantic_similarity

__all__ = [
    'adjust_logits',
    'adjusted_bias',
    'all_reduce_sum',
    'ascent_step',
    'balanced_contrastive_loss',
    'class_prior',
    'class_sampling_probabilities',
    'count_labels',
    'cutmix_box',
    'effective_number_weights',
    'exponential_class_counts',
    'frequency_weights',
    'gather_with_grad',
    'label_confidence',
    'ldam_cross_entropy',
    'ldam_margins',
    'logit_adjusted_cross_entropy',
    'long_tail_figures',
    'long_tail_indices',
    'mixed_label_weight',
    'pair_distribution',
    'proco_logits',
    'semantic_scores',
    'semantic_similarity',
    'shot_groups',
    'soft_confusion',
    'spectral_norm',
    'step_class_counts',
    'tau_normalize',
    'top_confused_pairs',
]
