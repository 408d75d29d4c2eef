"""What is found in a runner of long-tailed training, and whether its parts fit together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.dist import broadcast, get_world_size
from mmengine.hooks import CheckpointHook
from mmengine.logging import print_log
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import Runner
from mmpretrain.datasets import RepeatAugSampler
from mmpretrain.datasets.transforms import MultiView
from mmpretrain.engine.hooks import SwitchRecipeHook
from mmpretrain.models import ImageClassifier
from mmpretrain.models.heads import MultiLabelClsHead
from mmpretrain.models.utils import ClsDataPreprocessor
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel

from mmlt.datasets.in_memory import images_and_labels, packs_indices
from mmlt.datasets.labels import unsliced
from mmlt.datasets.paired_dataset import PairedDataset, pipelines_of
from mmlt.datasets.samplers.epoch import EpochSampler
from mmlt.datasets.samplers.pairs import PairBatchSampler, PairSampler
from mmlt.datasets.samplers.positions import PositionedBatches
from mmlt.functional.checks import OptionError, refuse
from mmlt.models.backbones import TunedBackbone
from mmlt.models.batch_augments.choice import takes_partners
from mmlt.models.device_images import DeviceImagesDataPreprocessor
from mmlt.models.heads import ContrastiveClsHead
from mmlt.models.preprocessors import PairedDataPreprocessor

__all__ = [
    'batch_augments',
    'batch_sampler_of',
    'begins_within_epoch',
    'check_pairing',
    'check_shards',
    'check_single_label',
    'check_views',
    'components_with',
    'consumers_of_pairs',
    'drop_foreign_average',
    'hold_images',
    'in_shards',
    'loader_of',
    'metrics_of',
    'num_classes_of',
    'sampler_of',
    'saves_within_epoch',
    'schedulers_of',
    'shared_seed',
    'switched',
    'total_batch_of',
    'training_dataset',
    'unwrap',
]


def unwrap(model: nn.Module) -> nn.Module:
    """The model inside DDP, test-time augmentation and other wrappers."""
    inner: Any = model
    while is_model_wrapper(inner) or isinstance(inner, BaseTTAModel):
        inner = inner.module
    return inner


def batch_augments(model: nn.Module) -> Iterator[Any]:
    """Batch augments are no modules; MMPretrain keeps them inside the data preprocessor."""
    choice = getattr(getattr(model, 'data_preprocessor', None), 'batch_augments', None)
    yield from getattr(choice, 'augments', None) or ()


def num_classes_of(part: Any) -> int | None:
    """``num_classes`` of a head or preprocessor that has such a number."""
    num_classes = getattr(part, 'num_classes', None)
    return num_classes if isinstance(num_classes, int) else None


def switched(runner: Runner, what: str) -> bool:
    """Whether a ``SwitchRecipeHook`` is going to exchange ``'loss'`` or ``'batch_augments'``."""
    return any(
        what in recipe
        for hook in runner.hooks
        if isinstance(hook, SwitchRecipeHook)
        for recipe in hook.schedule.values()
    )


def loader_of(runner: Runner, which: str) -> Any:
    """The data loader of the loop ``'train'``, ``'val'`` or ``'test'``; None if it is not built."""
    return getattr(getattr(runner, f'_{which}_loop', None), 'dataloader', None)


def metrics_of(runner: Runner, which: str) -> list[Any]:
    """The metrics of the loop ``'val'`` or ``'test'``; none where it is not built."""
    loop = getattr(runner, f'_{which}_loop', None)
    return list(getattr(getattr(loop, 'evaluator', None), 'metrics', ()))


def schedulers_of(runner: Runner) -> list[Any]:
    """All parameter schedulers, also where several optimisers have lists of their own."""
    schedulers: Any = runner.param_schedulers or []
    lists = schedulers.values() if isinstance(schedulers, dict) else [schedulers]
    return [scheduler for some in lists for scheduler in some]


def batch_sampler_of(runner: Runner) -> Any:
    """The batch sampler that the config names, without the positions of ``EpochSeedHook``."""
    batches = getattr(loader_of(runner, 'train'), 'batch_sampler', None)
    return batches.batches if isinstance(batches, PositionedBatches) else batches


def sampler_of(runner: Runner) -> Any:
    """The sampler of the training loader, inside its batch sampler."""
    inside = getattr(batch_sampler_of(runner), 'sampler', None)
    return getattr(loader_of(runner, 'train'), 'sampler', None) if inside is None else inside


def total_batch_of(runner: Runner) -> int | None:
    """Images of a training step on all ranks; None where the loader has no batch size."""
    loader = loader_of(runner, 'train')
    size = getattr(getattr(loader, 'batch_sampler', None), 'batch_size', None)
    return None if size is None else int(size) * get_world_size()


def shared_seed(runner: Runner) -> int:
    """The seed of rank 0; with ``randomness=dict(diff_rank_seed=True)`` each rank has another."""
    seed = torch.tensor(runner.seed)
    broadcast(seed)
    return int(seed)


def begins_within_epoch(runner: Runner) -> bool:
    """Whether the epoch that is about to begin goes on where a checkpoint was saved."""
    batches = getattr(loader_of(runner, 'train'), 'batch_sampler', None)
    return isinstance(batches, PositionedBatches) and batches.start > 0


def saves_within_epoch(runner: Runner) -> bool:
    """Whether a ``CheckpointHook`` saves after this iteration."""
    return any(
        hook.every_n_train_iters(runner, hook.interval, hook.save_begin)
        or (hook.save_last and hook.is_last_train_iter(runner))
        for hook in runner.hooks
        if isinstance(hook, CheckpointHook) and not hook.by_epoch
    )


def _all(runner: Runner) -> Iterator[Any]:
    model = unwrap(runner.model)
    yield from model.modules()
    yield from batch_augments(model)
    yield from runner.hooks
    loader = loader_of(runner, 'train')
    if loader is not None:
        yield batch_sampler_of(runner)
        yield getattr(batch_sampler_of(runner), 'sampler', None)
        yield loader.sampler
    for which in ('val', 'test'):
        yield from metrics_of(runner, which)


def components_with(runner: Runner, method: str) -> list[Any]:
    """Model parts, batch augments, hooks, samplers and metrics that define ``method``, each once.

    Of loops that are not built yet there are none.
    """
    found = {id(part): part for part in _all(runner) if callable(getattr(part, method, None))}
    return list(found.values())


def training_dataset(runner: Runner) -> Any:
    """The training data set, or None where there is none (testing)."""
    return getattr(loader_of(runner, 'train'), 'dataset', None)


def consumers_of_pairs(runner: Runner) -> list[Any]:
    """Samplers and batch augments that draw confused classes, and so need the counts of errors.

    An augment in a paired preprocessor does not: its partners come from the sampler.
    """
    model = unwrap(runner.model)
    paired = isinstance(getattr(model, 'data_preprocessor', None), PairedDataPreprocessor)
    fed_by_sampler = {id(augment) for augment in batch_augments(model) if paired}
    return [
        component
        for component in components_with(runner, 'set_confusion_counts')
        if component.wants_confusion_counts and id(component) not in fed_by_sampler
    ]


_SAMPLERS_OF_SINGLE_IMAGES = (DefaultSampler, InfiniteSampler, RepeatAugSampler)


def check_pairing(runner: Runner) -> None:
    """A ``ValueError`` that names the missing part where a set-up of pairs is incomplete."""
    model = unwrap(runner.model)
    loader = runner.train_dataloader
    sampler = sampler_of(runner)
    dataset = unsliced(loader.dataset)
    preprocessor = getattr(model, 'data_preprocessor', None)
    paired = isinstance(preprocessor, PairedDataPreprocessor)
    mixing = [
        augment
        for augment in batch_augments(model)
        if takes_partners(augment) and (paired or not augment.mixes_within_batch)
    ]
    drawn, loaded = isinstance(sampler, PairSampler), isinstance(dataset, PairedDataset)
    if not (drawn or loaded or mixing):
        return
    # A sampler of the user's own may give pairs as well.
    ours = isinstance(sampler, EpochSampler) or type(sampler) in _SAMPLERS_OF_SINGLE_IMAGES
    expected = {
        'train_dataloader.dataset': (loaded, dataset, "type='PairedDataset', dataset=dict(...)"),
        'train_dataloader.sampler': (drawn or not ours, sampler, "type='PairSampler'"),
        'train_dataloader.batch_sampler': (
            isinstance(batch_sampler_of(runner), PairBatchSampler) or not drawn,
            batch_sampler_of(runner),
            "type='PairBatchSampler', prob=0.5",
        ),
        'data_preprocessor': (paired, preprocessor, "type='PairedDataPreprocessor'"),
        'model.train_cfg.augments': (
            bool(mixing) or switched(runner, 'batch_augments'),
            next(iter(batch_augments(model)), None),
            "type='ConCutMixAugment'",
        ),
    }
    there = ', '.join(type(part).__name__ for fits, part, _ in expected.values() if fits and part)
    for name, (fits, part, wanted) in expected.items():
        if not fits:
            found = 'None' if part is None else type(part).__name__
            raise OptionError(
                f'{name}: expected dict({wanted}), got {found}. Pairs are drawn by a sampler and a '
                'batch sampler, loaded by a data set, and mixed by a batch augment in a '
                f'preprocessor; of these there are {there or "none"}'
            )
    if drawn and sampler.start_epoch >= runner.max_epochs:
        runner.logger.warning(
            f'PairSampler: start_epoch={sampler.start_epoch} is never reached in '
            f'{runner.max_epochs} epochs, so partners={sampler.partners!r} is never used'
        )


def check_views(runner: Runner) -> None:
    """A ``ValueError`` that names the missing part where several views meet parts for one.

    The classifier and the preprocessor of MMPretrain would hand a list to a convolution.
    """
    model = unwrap(runner.model)
    made = any(
        isinstance(transform, MultiView)
        for transforms in pipelines_of(unsliced(runner.train_dataloader.dataset))
        for transform in transforms
    )
    head, preprocessor = getattr(model, 'head', None), getattr(model, 'data_preprocessor', None)
    source = 'MultiView in the pipeline makes' if made else f'{type(head).__name__} takes'
    if not made and isinstance(preprocessor, DeviceImagesDataPreprocessor):
        made = preprocessor.num_views > 0
        source = f'data_preprocessor.num_views={preprocessor.num_views} makes' if made else source
    if not isinstance(model, ImageClassifier) or not (made or isinstance(head, ContrastiveClsHead)):
        return
    for name, part, stock, wanted in (
        ('model.type', model, ImageClassifier, 'MultiViewClassifier'),
        ('data_preprocessor.type', preprocessor, ClsDataPreprocessor, 'PairedDataPreprocessor'),
    ):
        if type(part) is stock:
            raise OptionError(
                f'{name}: expected {wanted!r}, got {stock.__name__!r}: {source} several views of '
                f'each image, and {stock.__name__} is for one'
            )


def hold_images(dataset: Any, preprocessor: Any) -> None:
    """Lay the training images where the model is, if the pipeline packs their indices.

    Raises:
        OptionError: if the preprocessor does not look indices up, or the data set has no images in
            memory.
    """
    if not packs_indices(dataset):
        return
    if not isinstance(preprocessor, DeviceImagesDataPreprocessor):
        expected = "'DeviceImagesDataPreprocessor', which looks up what PackIndex packs"
        raise refuse('data_preprocessor.type', expected, type(preprocessor).__name__)
    images, labels = images_and_labels(dataset)
    preprocessor.hold(images, labels)
    print_log(
        f'{len(images)} training images on {preprocessor.device}: {images.numel() / 1e6:.0f} MB',
        logger='current',
    )


def check_single_label(runner: Runner) -> None:
    """A ``ValueError`` for a head of several labels per image, which has no class counts."""
    head = getattr(unwrap(runner.model), 'head', None)
    if isinstance(head, MultiLabelClsHead):
        raise OptionError(
            f'model.head: expected a head for one label per image, got {type(head).__name__}, '
            'which is for several; mmlt has no method for multi-label data'
        )


def in_shards(runner: Runner) -> bool:
    """Whether weights of the model are split over the processes (FSDP)."""
    return any(isinstance(part, FullyShardedDataParallel) for part in runner.model.modules())


def check_shards(runner: Runner) -> None:
    """An ``OptionError`` for what does not work with a model in shards (FSDP).

    MMEngine hands PyTorch the state of the optimiser in an order of before PyTorch 2.1, so that no
    run can be resumed. And PyTorch puts all weights together from the shards: it misses those that
    are left out of small checkpoints.
    """
    if not in_shards(runner):
        return
    kind = type(runner).__name__
    if runner._resume:
        raise OptionError(
            f'resume: expected a run of Runner, got {kind} with FSDP, of which MMEngine cannot '
            'restore the optimiser; load_from with resume=False starts from its weights'
        )
    for part in runner.model.modules():
        if isinstance(part, TunedBackbone) and part.leaves_out_weights:
            raise OptionError(
                f'TunedBackbone: expected Runner, got {kind} with FSDP, which cannot leave the '
                "frozen weights out of its checkpoints; tune='full' works with it"
            )


def drop_foreign_average(runner: Runner, checkpoint: dict[str, Any]) -> None:
    """Leave the averaged weights of another classifier out, with a warning.

    MMPretrain's ``EMAHook`` loads them strictly, also where a run only starts from the weights.
    """
    averaged = checkpoint.get('ema_state_dict')
    if runner._resume or not isinstance(averaged, dict):
        return
    model = unwrap(runner.model).state_dict()
    for name, value in averaged.items():
        own = model.get(name.removeprefix('module.'))
        if own is not None and getattr(value, 'shape', own.shape) != own.shape:
            del checkpoint['ema_state_dict']
            runner.logger.warning(
                f'checkpoint: expected averaged weights (ema_state_dict) of this model, got '
                f'{tuple(value.shape)} for {name}, where it has {tuple(own.shape)}; they are left '
                'out, and the average starts from the other weights'
            )
            return
