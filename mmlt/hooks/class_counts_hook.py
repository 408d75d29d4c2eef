"""Class counts go from the training data to everything that needs them."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS
from torch import nn

from mmlt.datasets.labels import (
    check_class_names,
    names_of_classes,
    training_class_counts,
    unsliced,
)
from mmlt.functional.targets import check_classes

from .runner_parts import components_with, loader_of, num_classes_of, training_dataset, unwrap

__all__ = ['ClassCountsHook']


@HOOKS.register_module()
class ClassCountsHook(Hook):
    """Gives the training class counts to losses, heads, batch augments, samplers and metrics.

    While training, the counts are those of the training data set (its ``class_counts``, after
    filtering and subsetting; where it has none, its labels are counted); every component
    that defines ``set_class_counts`` receives them before the checkpoint is loaded. When only
    testing they come from the checkpoint's ``dataset_meta``, unless the model has another number
    of classes. Nobody types a list of numbers.

    It also checks that every class has the same index in the training and validation data, in the
    test data once a test begins, and in a checkpoint that is resumed, tested, or loaded with its
    classifier: by name, unless the name is a number.

    Raises:
        ValueError: if the training data tells neither counts nor labels, if head or preprocessor
            have another number of classes, if a run is resumed with other counts, or if a class
            stands at two indices.

    Example:
        >>> custom_hooks = [dict(type='ClassCountsHook')]
    """

    priority = 'VERY_HIGH'

    _training_counts: list[int] | None = None
    # Of the training data, or of the checkpoint where there is none.
    _names: tuple[str, ...] = ()
    _handed_out = True

    def before_run(self, runner: Runner) -> None:
        """Hand out the counts of the training data, before weights are made or loaded."""
        self._training_counts = None
        dataset = training_dataset(runner)
        if dataset is None:
            _check_names_of_loops(runner, self._names, 'the checkpoint')
            return
        self._names = names_of_classes(dataset, 'train_dataloader.dataset')
        _check_names_of_loops(runner, self._names, 'the training data')
        model = unwrap(runner.model)
        counts = training_class_counts(dataset, num_classes_of(getattr(model, 'head', None)))
        _check_num_classes(model, len(counts))
        self._training_counts = counts
        self._hand_out(runner, counts, 'the training data')

    def before_train_epoch(self, runner: Runner) -> None:
        """Another hook may put something in place for this epoch (``SwitchRecipeHook``)."""
        self._handed_out = False

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Look at the labels while they are on the CPU, and serve what has been put in place."""
        if self._training_counts is not None:
            _check_labels(unwrap(runner.model), data_batch, len(self._training_counts))
        if not self._handed_out and self._training_counts is not None:
            self._handed_out = True
            for component in components_with(runner, 'set_class_counts'):
                if getattr(component, 'class_counts', ()) is None:
                    component.set_class_counts(self._training_counts)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Keep counts and names with the weights, also where the data set does not tell them.

        In plain types, since others are not loaded safely.
        """
        if self._training_counts is not None:
            meta = checkpoint['meta']
            told = dict(meta.get('dataset_meta') or {})
            told['class_counts'] = list(self._training_counts)
            if self._names:
                told['classes'] = self._names
            meta['dataset_meta'] = told

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Check the counts on resume; take them from the checkpoint when only testing."""
        meta = (checkpoint.get('meta') or {}).get('dataset_meta') or {}
        self._compare_names(runner, tuple(map(str, meta.get('classes') or ())))
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
                'train_dataloader.dataset: expected that of the checkpoint on resume, '
                f'{_describe(saved)}, got {_describe(self._training_counts)}. Restore the data '
                'set, or start a new run from the weights with load_from and resume=False'
            )
        elif runner._resume:
            # MMEngine is about to compare this with what the data set itself tells, which has
            # no counts, and names of the same meaning.
            told = getattr(unsliced(runner.train_dataloader.dataset), 'metainfo', None)
            ours = ('class_counts', 'classes')
            rest = {key: value for key, value in meta.items() if key not in ours}
            if rest == {key: value for key, value in (told or {}).items() if key not in ours}:
                checkpoint['meta']['dataset_meta'] = told

    def _compare_names(self, runner: Runner, saved: tuple[str, ...]) -> None:
        if self._training_counts is None:
            self._names = saved
            _check_names_of_loops(runner, saved, 'the checkpoint')
        elif runner._resume or len(saved) == len(self._names):
            # A classifier of another size is not loaded.
            note = check_class_names(
                saved, self._names, 'train_dataloader.dataset', 'the checkpoint'
            )
            if note is not None:
                runner.logger.warning(note)

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


def _check_labels(model: Any, data_batch: Any, num_classes: int) -> None:
    """On a GPU a loss cannot look at labels without a wait, and a wrong one ends the process."""
    samples = data_batch.get('data_samples') if isinstance(data_batch, dict) else None
    labels = [sample.gt_label for sample in samples or () if 'gt_label' in sample]
    if labels and labels[0].device.type == 'cpu':
        head = type(getattr(model, 'head', None)).__name__
        check_classes(f'{head}.gt_label', torch.cat(labels), num_classes)


def _check_names_of_loops(runner: Runner, expected: tuple[str, ...], source: str) -> None:
    """Of the validation and test data, where they are built already."""
    for which in ('val', 'test'):
        loader = loader_of(runner, which)
        if loader is None:
            continue
        name = f'{which}_dataloader.dataset'
        note = check_class_names(expected, names_of_classes(loader.dataset, name), name, source)
        if note is not None:
            runner.logger.warning(note)


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
