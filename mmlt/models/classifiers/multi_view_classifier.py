"""Image classifier that takes several views of each image in training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmpretrain.models import ImageClassifier
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmlt.functional.checks import check_choice, check_text, refuse
from mmlt.models.batch_augments.choice import BatchAugmentChoice
from mmlt.registry import build_module, check_init_cfg

__all__ = ['MultiViewClassifier']


@MODELS.register_module()
class MultiViewClassifier(ImageClassifier):
    """MMPretrain's ``ImageClassifier``, whose training input may be a list of V views.

    The views go through backbone and neck as one batch ``(V * N, ...)``, view by view; the head
    finds ``V`` from the number of data samples. With one tensor as the input it is the plain
    classifier.

    Which images share BatchNorm's statistics matters, because views differ in brightness and
    contrast: the network is tested with running statistics. ``batch_norm='apart'`` is what the
    released code of BCL and ConCutMix does on as many GPUs as views: ``DataParallel`` cuts the
    batch into contiguous parts, here the views, and keeps the running statistics of the first.

    Args:
        backbone, neck, head: modules or their configs.
        pretrained: path of a checkpoint to begin from.
        train_cfg: ``dict(augments=..., probs=...)``, the batch augments.
        data_preprocessor: a module or its config.
        batch_norm: ``'together'``: BatchNorm sees all views at once; ``'apart'``: each view is
            normalised by itself, and the running statistics are those of view 0.
        init_cfg: as in MMEngine.

    Raises:
        OptionError: if an option is of another form.

    Example:
        >>> model = MultiViewClassifier(
        ...     backbone=dict(type='ResNet_CIFAR', depth=18),
        ...     neck=dict(type='BCLNeck', in_channels=512, out_channels=8),
        ...     head=dict(type='LinearClsHead', in_channels=512, num_classes=3))
        >>> views = [torch.zeros(2, 3, 8, 8), torch.zeros(2, 3, 8, 8)]
        >>> [tuple(part.shape) for part in model.extract_feat(views)]
        [(4, 8), (4, 512)]
    """

    def __init__(
        self,
        backbone: dict | nn.Module,
        neck: dict | nn.Module | None = None,
        head: dict | nn.Module | None = None,
        pretrained: str | None = None,
        train_cfg: dict | None = None,
        data_preprocessor: dict | nn.Module | None = None,
        batch_norm: str = 'together',
        init_cfg: dict | list | None = None,
    ) -> None:
        check_init_cfg(init_cfg)
        check_choice('batch_norm', batch_norm, ('together', 'apart'))
        if pretrained is not None:
            check_text('pretrained', pretrained)
        if train_cfg is not None and train_cfg != {}:
            if not isinstance(train_cfg, dict) or not set(train_cfg) <= {'augments', 'probs'}:
                raise refuse('train_cfg', 'dict(augments=..., probs=...)', train_cfg)
            BatchAugmentChoice.adopt(train_cfg)
        if not isinstance(data_preprocessor, (dict, nn.Module, type(None))):
            raise refuse('data_preprocessor', 'a config or a module', data_preprocessor)
        parts = {'backbone': backbone, 'neck': neck, 'head': head}
        built = {
            name: part if part is None and name != 'backbone' else build_module(name, part)
            for name, part in parts.items()
        }
        super().__init__(
            **built,
            pretrained=pretrained,
            train_cfg=train_cfg,
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
        )
        self.batch_norm = batch_norm

    def extract_feat(self, inputs: Tensor | Sequence[Tensor], stage: str = 'neck') -> Any:
        """Features of ``stage``.

        Args:
            inputs: ``(N, C, H, W)``, or V such views.
            stage: ``'backbone'``, ``'neck'`` or ``'pre_logits'``.

        Returns:
            As ``ImageClassifier.extract_feat``, for ``V * N`` images, view by view.

        Raises:
            ValueError: if the views differ in shape.
        """
        if not isinstance(inputs, Tensor):
            shapes = {tuple(view.shape) for view in inputs}
            if len(shapes) != 1:
                found = sorted(shapes) or 'no view'
                raise ValueError(f'inputs: expected views of one shape, got {found}')
            if self.batch_norm == 'apart' and self.training:
                return self._apart(inputs, stage)
            inputs = torch.cat(list(inputs))
        return super().extract_feat(inputs, stage=stage)

    def _apart(self, views: Sequence[Tensor], stage: str) -> Any:
        """Features of the views, each normalised by its own statistics."""
        outputs = [super().extract_feat(views[0], stage=stage)]
        with _running_statistics_kept(self):
            outputs += [super(MultiViewClassifier, self).extract_feat(v, stage) for v in views[1:]]
        if isinstance(outputs[0], Tensor):
            return torch.cat(outputs)
        return tuple(torch.cat(parts) for parts in zip(*outputs, strict=True))

    def predict(
        self, inputs: Tensor, data_samples: list[DataSample] | None = None, **kwargs: Any
    ) -> list[DataSample]:
        """As ``ImageClassifier.predict``; ``ValueError`` if there are several views."""
        if not isinstance(inputs, Tensor):
            raise ValueError(
                f'inputs: expected one view at test, got {len(inputs)}; leave '
                'MultiView out of the test pipeline'
            )
        return super().predict(inputs, data_samples, **kwargs)


@contextmanager
def _running_statistics_kept(model: nn.Module) -> Iterator[None]:
    """BatchNorm normalises by its batch, as in training, and does not learn from it."""
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
