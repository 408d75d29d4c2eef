"""From the class prior that a model is made for to that of the images at hand."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmlt.evaluation.names import from_cell
from mmlt.functional.checks import check_numbers, refuse
from mmlt.functional.logit_adjustment import log_prior
from mmlt.recipe import Recipe

__all__ = ['prior_offset']


def prior_offset(recipe: Recipe, names: Sequence[str], test_prior: str) -> NDArray[np.float64]:
    r"""What is added to log probabilities: :math:`\log \rho_k - p \log \pi_k`.

    Bayes' rule: a model predicts :math:`P(k \mid x) \propto P(x \mid k)\,\pi_k^p`, with the prior
    :math:`\pi` of its training images and the ``prior_power`` :math:`p` of the recipe (1 for
    cross-entropy). To have it with the prior :math:`\rho`, the old one is divided out.

    Args:
        recipe: of the model.
        names: of its ``K`` classes.
        test_prior: ``'uniform'``, ``'train'``, or a file with one number for each class: ``.json``
            (a list, or an object by name) or ``.csv`` with lines ``name,number``.

    Returns:
        ``(K,)``; ``-inf`` for a class that does not occur.

    Raises:
        ValueError: if the counts of training images are needed and not known, or the file does
            not fit.

    Example:
        >>> recipe = Recipe(None, [], class_counts=(30, 10))
        >>> prior_offset(recipe, ('cat', 'dog'), 'uniform').round(2)
        array([-0.41,  0.69])
    """
    power, train = recipe.prior_power, np.zeros(len(names))
    if power or test_prior == 'train':
        if len(recipe.class_counts) != len(names):
            raise ValueError(
                'test-prior: expected a model that knows the numbers of its training images, got '
                f'{recipe.class_counts or "one without"}'
            )
        train = log_prior(recipe.class_counts).numpy()
    if test_prior == 'train':
        return (1 - power) * train
    if test_prior == 'uniform':
        return -np.log(len(names)) - power * train
    weights = np.asarray(_read(Path(test_prior), names))
    with np.errstate(divide='ignore'):
        return np.log(weights / weights.sum()) - power * train


def _read(path: Path, names: Sequence[str]) -> tuple[float, ...]:
    name = 'test-prior'
    if not path.is_file():
        raise refuse(name, "'uniform', 'train' or a file (.json, .csv)", str(path))
    try:
        text = path.read_text(encoding='utf-8-sig')
        if path.suffix == '.json':
            told = json.loads(text)
        else:
            rows = [row for row in csv.reader(text.splitlines()) if row]
            told = {from_cell(key): float(number) for key, number in rows}
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(
            f'{name}: expected a file with one number for each class, got {path}: {error}'
        ) from error
    if isinstance(told, dict):
        odd = sorted({*told} ^ {*names})
        if odd:
            raise ValueError(
                f'{name}: expected a number for each class of the model and for no other, got '
                f'{path}, which differs in {", ".join(odd[:5])}'
            )
        told = [told[one] for one in names]
    numbers = check_numbers(name, told, '[0, inf)', len(names))
    if not sum(numbers):
        raise refuse(name, 'at least one number above 0', str(path))
    return numbers
