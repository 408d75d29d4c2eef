"""The maths of long-tailed recognition, on tensors and arrays: torch and numpy only.

Everything here runs without a config, a registry or a runner. A confusion matrix is
``confusion[true, predicted]``; ``class_counts`` are training images per class, ``(K,)``.
"""

from .class_statistics import (
    class_prior,
    count_labels,
    effective_number_weights,
    frequency_weights,
    shot_groups,
)
from .classifier_rebalancing import adjusted_bias, tau_normalize
from .confusion import soft_confusion, top_confused_pairs
from .confusion_law import confusion_law
from .contrastive import balanced_contrastive_loss
from .distributed import all_reduce_sum, gather_with_grad
from .imbalance import exponential_class_counts, long_tail_indices, step_class_counts
from .label_distribution_margin import ldam_cross_entropy, ldam_margins
from .logit_adjustment import adjust_logits, logit_adjusted_cross_entropy
from .long_tail_figures import long_tail_figures
from .mixed_labels import mixed_label_weight
from .mixing import cutmix_box
from .sampling import class_sampling_probabilities
from .semantic_labels import label_confidence, semantic_scores, semantic_similarity
from .spectral import spectral_norm

__all__ = [
    'adjust_logits',
    'adjusted_bias',
    'all_reduce_sum',
    'balanced_contrastive_loss',
    'class_prior',
    'class_sampling_probabilities',
    'confusion_law',
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
    'semantic_scores',
    'semantic_similarity',
    'shot_groups',
    'soft_confusion',
    'spectral_norm',
    'step_class_counts',
    'tau_normalize',
    'top_confused_pairs',
]
