"""Class counts go from the training data to everything that needs them."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS
from torch import nn

from mmlt.datasets.labels import dataset_class_counts, training_class_counts

from .runner_parts import components_with, num_classes_of, training_dataset, unwrap

__all__ = ['ClassCountsHook']


@HOOKS.register_module()
class ClassCountsHook(Hook):
    """Gives the training class counts to losses, heads, batch augments, samplers and metrics.

    While training, the counts are those of the training data set (``metainfo['class_counts']``,
    after filtering and subsetting; where it has none, its labels are counted); every component
    that defines ``set_class_counts`` receives them before the checkpoint is loaded. When only
    testing they come from the checkpoint's ``dataset_meta``, unless the model has another number
    of classes. Nobody types a list of numbers.

    Raises:
        ValueError: if the training data tells neither counts nor labels, if head or preprocessor
            have another number of classes, or if a run is resumed with other counts.

    Example:
        >>> custom_hooks = [dict(type='ClassCountsHook')]
    """

    priority = 'VERY_HIGH'

    _training_counts: list[int] | None = None

    def before_run(self, runner: Runner) -> None:
        """Hand out the counts of the training data, before weights are made or loaded."""
        self._training_counts = None
        dataset = training_dataset(runner)
        if dataset is None:
            return
        told = dataset_class_counts(dataset) is not None
        model = unwrap(runner.model)
        counts = training_class_counts(dataset, num_classes_of(getattr(model, 'head', None)))
        _check_num_classes(model, len(counts))
        self._training_counts = counts
        self._hand_out(
            runner, counts, 'the training data' if told else 'the labels of the training data'
        )

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Serve what another hook has put in place for this epoch (``SwitchRecipeHook``)."""
        if batch_idx == 0 and self._training_counts is not None:
            for component in components_with(runner, 'set_class_counts'):
                if getattr(component, 'class_counts', ()) is None:
                    component.set_class_counts(self._training_counts)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Keep the counts with the weights, also where the data set does not tell them."""
        if self._training_counts is not None:
            meta = checkpoint['meta']
            meta['dataset_meta'] = {
                **(meta.get('dataset_meta') or {}),
                'class_counts': list(self._training_counts),
            }

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Check the counts on resume; take them from the checkpoint when only testing."""
        meta = (checkpoint.get('meta') or {}).get('dataset_meta') or {}
        saved = meta.get('class_counts')
        if saved is None:
            if self._training_counts is None and components_with(runner, 'set_class_counts'):
                runner.logger.warning(
                    'ClassCountsHook: the checkpoint has no class_counts in its dataset_meta '
                    '(it was not trained with mmlt); what needs them is left out or stops'
                )
            return
        saved = [int(count) for count in saved]
        if self._training_counts is None:
            expected = num_classes_of(getattr(unwrap(runner.model), 'head', None))
            if expected not in (None, len(saved)):
                runner.logger.warning(
                    f'ClassCountsHook: the checkpoint has class counts of {len(saved)} classes, '
                    f'the model has {expected}; they are left out'
                )
                return
            self._hand_out(runner, saved, 'the checkpoint')
        elif runner._resume and saved != self._training_counts:
            raise ValueError(
                'ClassCountsHook: the run is resumed with other training data than it was '
                f'started with: the checkpoint has {_describe(saved)}, the data set '
                f'{_describe(self._training_counts)}. Restore the data set, or start a new run '
                'from the weights with load_from and resume=False'
            )
        elif runner._resume:
            # MMEngine is about to compare this with what the data set itself tells.
            told = runner.train_dataloader.dataset.metainfo
            meta.pop('class_counts')
            if 'class_counts' in told:
                meta['class_counts'] = told['class_counts']

    def _hand_out(self, runner: Runner, counts: list[int], source: str) -> None:
        components = components_with(runner, 'set_class_counts')
        device = next(unwrap(runner.model).parameters()).device
        for component in components:
            component.set_class_counts(counts)
            # The estimate of CARLoss is made by the counts, and EMAHook is about to copy it.
            if isinstance(component, nn.Module):
                component.to(device)
        names = ', '.join(sorted({type(component).__name__ for component in components}))
        runner.logger.info(
            f'Class counts from {source}: {_describe(counts)}; given to {names or "nothing"}.'
        )


def _check_num_classes(model: Any, expected: int) -> None:
    """Before the first label that is out of range, or the first validation, stops the run."""
    parts = {'model.head': getattr(model, 'head', None)}
    preprocessor = getattr(model, 'data_preprocessor', None)
    if getattr(preprocessor, 'batch_augments', None) or getattr(preprocessor, 'to_onehot', False):
        parts['data_preprocessor'] = preprocessor
    for name, part in parts.items():
        found = num_classes_of(part)
        if found not in (None, expected):
            raise ValueError(
                f'{name}.num_classes: expected {expected}, the number of classes of '
                f'the training data, got {found} (or is it the data set that needs '
                'metainfo=dict(classes=[...])?)'
            )


def _describe(counts: list[int]) -> str:
    filled = [count for count in counts if count]
    empty = len(counts) - len(filled)
    text = f'{sum(counts)} images in {len(counts)} classes ({max(counts)} .. {min(filled)})'
    return f'{text}, {empty} of them empty' if empty else text
