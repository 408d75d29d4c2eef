"""What would fail or mislead after hours of training, found before the first step."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from mmengine.dataset import ClassBalancedDataset
from mmengine.runner import Runner

from mmlt.datasets.labels import training_class_counts, unsliced
from mmlt.datasets.samplers.class_balanced import ClassBalancedSampler
from mmlt.evaluation.long_tail_metric import LongTailMetric
from mmlt.functional.checks import refuse
from mmlt.functional.mixing import moves_label
from mmlt.models.batch_augments import CPMixBatchAugment, RemixBatchAugment
from mmlt.models.losses.class_counts_loss import ClassificationLoss
from mmlt.models.losses.logit_adjusted_loss import LogitAdjustedLoss
from mmlt.trained_prior import sampling_corrections

from .deferred_reweighting_hook import DeferredReweightingHook
from .runner_parts import (
    batch_augments,
    loader_of,
    metrics_of,
    sampler_of,
    schedulers_of,
    training_dataset,
    unwrap,
)

__all__ = ['check_monitored_figures', 'warn_of_double_correction']


def _monitored(runner: Runner) -> Iterator[tuple[str, str]]:
    """Option and figure: what saves the best model, stops early, or lowers the learning rate."""
    for hook in runner.hooks:
        for key in getattr(hook, 'key_indicators', None) or ():
            yield 'save_best', key
        if isinstance(getattr(hook, 'monitor', None), str):
            yield f'{type(hook).__name__}.monitor', hook.monitor
    for scheduler in schedulers_of(runner):
        if isinstance(getattr(scheduler, 'monitor', None), str):
            yield f'{type(scheduler).__name__}.monitor', scheduler.monitor


def check_monitored_figures(runner: Runner) -> None:
    """An ``OptionError`` where a figure is waited for that :class:`LongTailMetric` cannot report.

    MMEngine finds out after the first validation.
    """
    metrics = metrics_of(runner, 'val')
    ours = [metric for metric in metrics if isinstance(metric, LongTailMetric)]
    if not ours:
        return
    waited_for = [(option, key) for option, key in _monitored(runner) if key != 'auto']
    if not waited_for:
        return
    try:
        tested = training_class_counts(runner.val_dataloader.dataset)
    except (TypeError, ValueError):
        tested = None  # a data set without labels to count
    names = [f'{m.prefix}/{name}' for m in ours for name in m.figure_names(tested)]
    prefixes = {metric.prefix for metric in ours}
    for option, key in waited_for:
        is_ours = key.rpartition('/')[0] in prefixes or len(ours) == len(metrics)
        if is_ours and key not in names:
            options = ', '.join(
                f'many_threshold={m.many_threshold}, few_threshold={m.few_threshold}, topk={m.topk}'
                for m in ours
            )
            expected = f'one of {", ".join(names)}, which this data has with {options}'
            raise refuse(option, expected, key)


def _corrections(runner: Runner, which: str) -> Iterator[tuple[str, str]]:
    """Kind and name of everything that compensates the class prior."""
    hooks, model = runner.hooks, unwrap(runner.model)
    for module in model.modules():
        if isinstance(module, LogitAdjustedLoss) and module.tau > 0:
            # The effective prior is that of the labels after sampling and mixing.
            kind = 'effective prior' if module.blend == 1 else 'prior'
            yield kind, f'{type(module).__name__}(tau={module.tau:g})'
        if isinstance(module, ClassificationLoss) and module.weights_by_frequency:
            yield 'weights', f'{type(module).__name__}(class_weight=...)'
    for hook in hooks:
        if isinstance(hook, DeferredReweightingHook):
            yield 'weights', 'DeferredReweightingHook'
        if which == 'test' and getattr(hook, 'rebalanced', None):
            yield 'rebalanced', 'rebalance_classifier.py, which made the checkpoint'
    if _balances(runner):
        yield 'sampling', 'a class-balanced sampler'
    for augment in batch_augments(model):
        if isinstance(augment, CPMixBatchAugment):
            if moves_label(augment.label_rule, augment.tau):
                yield 'labels', f'CPMixBatchAugment(label_rule={augment.label_rule!r})'
        elif isinstance(augment, RemixBatchAugment):
            yield 'labels', 'RemixBatchAugment'
    for metric in metrics_of(runner, which):
        if isinstance(metric, LongTailMetric) and metric.post_hoc_tau:
            yield 'post hoc', f'LongTailMetric(post_hoc_tau={metric.post_hoc_tau:g})'


def _balances(runner: Runner) -> bool:
    """Whether training images are drawn by class; at test, by the word of the config."""
    if loader_of(runner, 'train') is None:
        return any(sampling_corrections(runner.cfg.get('train_dataloader')))
    sampler = sampler_of(runner)
    if isinstance(sampler, ClassBalancedSampler):
        return not torch.allclose(sampler.class_probabilities(10**9), sampler.instance_balanced)
    return isinstance(unsliced(training_dataset(runner)), ClassBalancedDataset)


def warn_of_double_correction(runner: Runner, which: str) -> None:
    """Log one warning where the class prior is compensated twice, so that rare classes win.

    What is published together is no case of it: margins of LDAM with deferred weights, and partners
    drawn by class, as in ConCutMix and CMO, with any loss.
    """
    found = dict(_corrections(runner, which))
    if 'effective prior' in found and {'sampling', 'labels'} & set(found):
        del found['effective prior']
    if len(found) > 1:
        runner.logger.warning(
            f'class prior: expected one correction, got {" and ".join(found.values())}. Each of '
            'them compensates the numbers of training images, so together they favour rare classes '
            "too much. Keep one; LogitAdjustedLoss(prior='effective') knows what samplers and "
            'mixed labels have done'
        )
