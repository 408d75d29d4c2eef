"""Rebalance the linear classifier of a trained checkpoint, without training.

python tools/model_converters/rebalance_classifier.py IN OUT --method logit_adjustment --tau 1.0
python tools/model_converters/rebalance_classifier.py IN OUT --method tau_norm --tau 0.7

``logit_adjustment`` subtracts ``tau * log(class prior)`` from the bias (Menon et al., ICLR 2021);
``tau_norm`` divides each class's weight vector by its norm to the power ``tau`` and drops the
bias (Kang et al., ICLR 2020). OUT holds the weights and the meta data: it can be tested and
fine-tuned, not resumed.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from cli import add_trust_argument, load_checkpoint
from flags import number

from mmlt.functional.checks import check_choice, check_number, refuse
from mmlt.functional.logit_adjustment import adjusted_bias, tau_normalize
from mmlt.weight_files import checkpoint_bytes, write_whole

METHODS = ('logit_adjustment', 'tau_norm')


def class_counts_of(checkpoint: Mapping[str, Any], path: Path) -> list[int]:
    """Training counts in the meta data of a checkpoint; ``ValueError`` if it has none."""
    meta = checkpoint.get('meta') or {}
    counts = (meta.get('dataset_meta') or {}).get('class_counts')
    if counts is None:
        raise ValueError(
            f"{path}: expected meta['dataset_meta']['class_counts'], got none; "
            '--class-counts-from names another checkpoint, which was trained with mmlt'
        )
    return [int(count) for count in counts]


def classifier_key(state_dict: Mapping[str, Tensor], num_classes: int | None) -> str:
    """Name of the classifier's weight: the one matrix in ``head.`` with a row per class.

    Raises ``ValueError`` if there is none, or more than one; ``num_classes`` is None if unknown.
    """
    matrices = {
        key: tuple(value.shape)
        for key, value in state_dict.items()
        if key.startswith('head.') and key.endswith('.weight') and value.ndim == 2
    }
    fitting = [key for key, shape in matrices.items() if num_classes in (None, shape[0])]
    if len(fitting) != 1:
        rows = '' if num_classes is None else f' with {num_classes} rows'
        raise ValueError(
            f'expected one weight matrix{rows} in `head.`, found {fitting or "none"} among '
            f'{matrices or "no matrices"}; name the right one with --weight-key'
        )
    return fitting[0]


def rebalance(
    state_dict: Mapping[str, Tensor],
    weight_key: str,
    method: str,
    tau: float,
    class_counts: Sequence[int] | None,
) -> dict[str, Tensor]:
    """A new state dict with the classifier rebalanced.

    Args:
        state_dict: weights of a model; not changed.
        weight_key: name of the classifier's weight.
        method: ``'logit_adjustment'`` or ``'tau_norm'``.
        tau: strength, at least 0.
        class_counts: ``(K,)`` training images, for ``'logit_adjustment'``.

    Raises:
        ValueError: if the classifier does not suit the method.
    """
    check_choice('method', method, METHODS)
    check_number('tau', tau, '[0, inf)')
    if weight_key not in state_dict:
        raise ValueError(f'--weight-key: expected a name of the checkpoint, got {weight_key!r}')
    if not weight_key.endswith('weight'):
        raise ValueError(f'--weight-key: expected a name that ends in weight, got {weight_key!r}')
    bias_key = f'{weight_key.removesuffix("weight")}bias'
    changed = dict(state_dict)
    if method == 'tau_norm':
        if bias_key not in state_dict:
            raise ValueError(
                f'{weight_key!r} has no bias: a cosine classifier, which divides by '
                'the norms itself, so that tau_norm would change nothing'
            )
        changed[weight_key] = tau_normalize(state_dict[weight_key], tau)
        changed[bias_key] = torch.zeros_like(state_dict[bias_key])
        return changed
    if class_counts is None:
        raise refuse('class_counts', 'the training images per class', class_counts)
    if bias_key not in state_dict:
        raise ValueError(
            f'{weight_key!r} has no bias to adjust (a cosine classifier, perhaps); evaluate with '
            f"dict(type='LongTailMetric', post_hoc_tau={tau}) instead"
        )
    changed[bias_key] = adjusted_bias(state_dict[bias_key], class_counts, tau)
    return changed


def convert(
    source: Path,
    target: Path,
    method: str,
    tau: float,
    class_counts_from: Path | None = None,
    weight_key: str | None = None,
) -> str:
    """Write a rebalanced copy of a checkpoint.

    Args:
        source: checkpoint to read.
        target: checkpoint to write.
        method: ``'logit_adjustment'`` or ``'tau_norm'``.
        tau: strength.
        class_counts_from: another checkpoint whose meta data has the training counts.
        weight_key: name of the classifier's weight, where it is not found automatically.

    Returns:
        The name of the weight.

    Raises:
        ValueError: if the checkpoint cannot be rebalanced, or was already.
    """
    if target.resolve() == source.resolve():
        raise ValueError(f'OUT is IN ({source}); the original is kept, choose another name')
    checkpoint = load_checkpoint(source)
    meta = deepcopy(checkpoint.get('meta') or {})
    if 'rebalanced_classifier' in meta:
        raise ValueError(f'{source}: was rebalanced already: {meta["rebalanced_classifier"]}')
    counts = None
    if method == 'logit_adjustment':
        if 'LogitAdjustedLoss' in (meta.get('cfg') or ''):
            warnings.warn(
                f'{source}: was trained with LogitAdjustedLoss, which adjusts already; '
                'adjusting once more corrects twice, unless its tau was 0',
                stacklevel=2,
            )
        named = class_counts_from or source
        counts = class_counts_of(load_checkpoint(named), named)
    state_dict = checkpoint['state_dict']
    key = weight_key or classifier_key(state_dict, counts and len(counts))
    rebalanced = rebalance(state_dict, key, method, tau, counts)
    meta['rebalanced_classifier'] = dict(method=method, tau=tau, weight=key)
    write_whole(target, checkpoint_bytes(dict(meta=meta, state_dict=rebalanced), target))
    return key


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('source', metavar='IN', type=Path, help='checkpoint to read')
    parser.add_argument(
        'target', metavar='OUT', type=Path, help='file to write, .pth or .safetensors'
    )
    parser.add_argument('--method', choices=METHODS, required=True)
    parser.add_argument(
        '--tau',
        type=number(0),
        default=1.0,
        help='strength; 0 changes nothing but, with tau_norm, the bias',
    )
    parser.add_argument(
        '--class-counts-from',
        type=Path,
        metavar='CHECKPOINT',
        help='checkpoint whose meta data has the training counts, if not IN',
    )
    parser.add_argument(
        '--weight-key',
        help="name of the classifier's weight, such as "
        'head.fc.weight, where it is not found by itself',
    )
    add_trust_argument(parser)
    args = parser.parse_args(argv)
    try:
        key = convert(
            args.source, args.target, args.method, args.tau, args.class_counts_from, args.weight_key
        )
    except ValueError as error:
        parser.error(str(error))
    print(f'{args.target}: {args.method} with tau {args.tau:g} on {key}')


if __name__ == '__main__':
    main()
