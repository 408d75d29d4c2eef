"""Whether weights are those of the network, which MMEngine loads as far as they fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader
from mmpretrain.registry import HOOKS
from torch import Tensor, nn

from mmlt.functional.checks import OptionError, one_line
from mmlt.models.backbones import TunedBackbone
from mmlt.models.backbones.base_weights import local_file
from mmlt.registry import pretrained_in

from .runner_parts import in_shards, training_dataset, unwrap

__all__ = ['WeightsCheckHook', 'check_checkpoint', 'check_pretrained']

# With a smaller share of common parameters they are two architectures, also where one is the
# beginning of the other (ResNet-50 and ResNet-101). Parts that differ with reason, such as a first
# layer for other channels, are few.
LEAST_SHARE = 0.9
_BACKBONE, _HEAD = 'backbone.', 'head.'

Weights = Mapping[str, Any]


@HOOKS.register_module()
class WeightsCheckHook(Hook):
    """Ends a test whose checkpoint lacks weights of the model; MMEngine goes on with random ones.

    In a training that starts from a checkpoint a part may be missing, such as the classifier of
    other classes. Under FSDP, where a process has flat pieces of the weights, nothing is compared.
    :class:`LongTailHook` registers it.

    Raises:
        ValueError: before the first batch of a test or of a validation without training.
    """

    priority = 'VERY_HIGH'  # before EMAHook swaps the averaged weights, which are tested

    def __init__(self) -> None:
        self.fault = ''

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Find what is missing; whether that matters is known when the run starts."""
        training = training_dataset(runner) is not None
        self.fault = '' if training else _lacking(runner, checkpoint)

    def before_train(self, runner: Runner) -> None:
        """What was random learns."""
        self.fault = ''

    def before_val(self, runner: Runner) -> None:
        """As before a test, unless the run trains."""
        self.before_test(runner)

    def before_test(self, runner: Runner) -> None:
        """End the run."""
        if self.fault:
            raise OptionError(self.fault)


def _lacking(runner: Runner, checkpoint: Mapping[str, Any]) -> str:
    """What the model would have at random after loading, as an error; '' if nothing.

    It is loaded once more than needed, since modules may change what they are given: a position
    embedding is resized, and the base of a ``TunedBackbone`` is filled in.
    """
    if in_shards(runner):
        return ''
    model = unwrap(runner.model)
    source = str(runner._load_from or 'a file')
    expected = f'checkpoint: expected the weights of the model of the config, got {source}'
    weights = _plain(checkpoint.get('state_dict', checkpoint))
    try:
        missing, _ = model.load_state_dict(weights, strict=False)
    except RuntimeError as error:  # of MMEngine's kind, with all shapes that differ
        lines = [line.strip(' \t.') for line in str(error).splitlines() if 'mismatch' in line]
        return f'{expected} with a {(lines or [one_line(error)])[0]}'
    own = {name for name, _ in model.named_parameters()}
    # What losses learn is for training.
    lost = [n for n in missing if n in own and not any(p.startswith('loss') for p in n.split('.'))]
    if not lost:
        return ''
    others = f' and {len(lost) - 1} others' if len(lost) > 1 else ''
    return f'{expected}, which has none for {lost[0]}{others}'


def check_pretrained(runner: Runner) -> None:
    """An ``OptionError`` if ``init_cfg=dict(type='Pretrained')`` names weights of another network.

    MMEngine leaves out what does not fit, with a warning of many lines, and the network trains
    from what is random. Under FSDP, where a process has flat pieces of them, nothing is compared.
    """
    if in_shards(runner):
        return
    for name, module in unwrap(runner.model).named_modules():
        for part in pretrained_in(getattr(module, 'init_cfg', None)):
            source, prefix = str(part.get('checkpoint')), part.get('prefix')
            where = '.'.join(['model', *filter(None, [name]), 'init_cfg.checkpoint'])
            if not local_file(source).is_file():
                if '://' in source:
                    continue
                raise OptionError(f'{where}: expected a file of weights, got no file {source}')
            read = CheckpointLoader.load_checkpoint(source, map_location='cpu')
            weights = _plain(read.get('state_dict', read))
            start = f'{prefix.rstrip(".")}.' if prefix else ''
            chosen = {n[len(start) :]: v for n, v in weights.items() if n.startswith(start)}
            _check(f'{where}', module, chosen, source, prefix)


def check_checkpoint(runner: Runner, checkpoint: Mapping[str, Any]) -> None:
    """An ``OptionError`` if a checkpoint has the backbone of another network, or nothing that fits.

    One without a backbone, as heads on features leave it, is none. A classifier for other classes
    is left out by MMEngine, which is one warning here.
    """
    if in_shards(runner):
        return
    model = unwrap(runner.model)
    weights = _plain(checkpoint.get('state_dict', checkpoint))
    source = str(runner._load_from or 'a checkpoint')
    if any(name.startswith(_BACKBONE) for name in weights):
        _check('load_from', model, weights, source, None)
    own = model.state_dict()
    if not any(
        name in own and _shape(value) == _shape(own[name]) for name, value in weights.items()
    ):
        raise OptionError(
            f'load_from: expected weights of this {type(model).__name__}, got {source}, in which '
            'none has the name and shape of one of its own'
        )
    for name, value in weights.items():
        if name.startswith(_HEAD) and name in own and _shape(value) != _shape(own[name]):
            runner.logger.warning(
                f'load_from: {name} has the shape {_shape(value)} in {source} and '
                f'{_shape(own[name])} here, as for other classes: it is left out'
            )
            return


def _check(
    where: str, module: nn.Module, weights: Weights, source: str, prefix: str | None
) -> None:
    """Compare the backbone of a classifier, or all of another part, with weights for it."""
    backbone = getattr(module, 'backbone', None)
    if isinstance(backbone, TunedBackbone):  # which checks itself
        return
    part, start = (backbone, _BACKBONE) if isinstance(backbone, nn.Module) else (module, '')
    own = {start + name: value for name, value in part.named_parameters()}
    fitting = sum(_shape(weights.get(name)) == _shape(value) for name, value in own.items())
    # A classifier or a decoder beside the own parts is left out with reason.
    inside = tuple(f'{start}{name}.' for name, _ in part.named_children())
    foreign = {name for name in weights if name.startswith(inside)}
    foreign -= {*own, *(start + name for name, _ in part.named_buffers())}
    if fitting < LEAST_SHARE * (len(own) + len(foreign)):
        hint = f' and {len(foreign)} others' if foreign else ''
        if prefix is None and any(_BACKBONE + name in weights for name in own):
            hint = f" (prefix='{_BACKBONE}' may be missing)"
        raise OptionError(
            f'{where}: expected weights of this {type(part).__name__}, got {source}, which has '
            f'{fitting} of its {len(own)} parameters{hint}'
        )


def _plain(weights: Weights) -> Weights:
    return {str(name).removeprefix('module.'): value for name, value in weights.items()}


def _shape(value: Any) -> tuple[int, ...] | None:
    return tuple(value.shape) if isinstance(value, Tensor) else None
