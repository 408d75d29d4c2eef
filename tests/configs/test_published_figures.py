"""Figures of papers in the heads of recipes and in the docs, written down once more."""

from __future__ import annotations

import re

import pytest

from tests.configs.recipes import CONFIGS, RECIPES

METHODS = CONFIGS.parent / 'docs' / 'methods'
BEST_EPOCH = 'best epoch on the test set'

# README of DDC (Wang et al., NeurIPS 2023), ratio 100: 200 epochs with weight decay 2e-4, with a
# tuned one, and 400 epochs with that, SAM and "RandAug".
DDC = {
    'cifar100_lt': {
        'ce': ('38.06', '40.68', '45.70'),
        'ldam_drw': ('42.73', '45.44', '50.67'),
        'vs': ('42.67', '46.26', '52.09'),
    },
    'cifar10_lt': {
        'ce': ('71.25', '73.39', '79.75'),
        'ldam_drw': ('77.97', '79.81', '86.15'),
        'vs': ('80.29', '81.62', '86.29'),
    },
}


def head(recipe):
    """The comment that a recipe begins with, as one line."""
    text = (CONFIGS / f'{recipe}.py').read_text()
    lines = re.match('(#[^\n]*\n)+', text)[0].splitlines()
    return ' '.join(line.removeprefix('#').strip() for line in lines)


def test_over_smoothing():
    assert f'{BEST_EPOCH}, league B: 54.9 %' in head('cifar100_lt/resnet34_over_smoothing_ir100')


@pytest.mark.parametrize(
    ('data', 'title'), [('cifar100_lt', 'CIFAR-100-LT'), ('cifar10_lt', 'CIFAR-10-LT')]
)
def test_ddc(data, title):
    page = (METHODS / 'strong_recipe.md').read_text()
    (table,) = re.findall(rf'^\| {title} \|.*?\n\n', page, re.DOTALL | re.MULTILINE)
    rows = [re.findall(r'\d\d\.\d\d', line) for line in table.splitlines()]
    assert [row for row in rows if row] == [list(row) for row in DDC[data].values()]
    assert BEST_EPOCH in page
    for method, column in (('ce_strong', 2), ('vs', 0), ('vs_strong', 2)):
        figure = DDC[data][method.split('_')[0]][column]
        assert f'{BEST_EPOCH}: {figure} %' in head(f'{data}/resnet32_{method}_ir100')
    quoted = (METHODS / 'vector_scaling.md').read_text()
    assert DDC[data]['vs'][0] in quoted and DDC[data]['vs'][2] in quoted


@pytest.mark.parametrize(('data', 'figure'), [('cifar100_lt', '52.8'), ('cifar10_lt', '85.9')])
def test_proco(data, figure):
    assert f'{BEST_EPOCH}: {figure} %' in head(f'{data}/resnet32_proco_ir100')
    assert figure in (METHODS / 'proco.md').read_text()


# Without code of its own, BCL's figures on CIFAR are probably with the Cutout of ProCo's.
BCL = {
    'cifar100_lt/resnet32_bcl_ir100': '51.9 % (67.2/53.1/32.9)',
    'cifar100_lt/resnet32_bcl_ir50': '56.6 %',
    'cifar100_lt/resnet32_bcl_ir10': '64.9 %',
    'cifar10_lt/resnet32_bcl_ir100': '84.32 %',
    'cifar10_lt/resnet32_bcl_ir50': '87.24 %',
    'cifar10_lt/resnet32_bcl_ir10': '91.12 %',
}
CONCUTMIX = {
    'cifar100_lt/resnet32_concutmix_ir100': '53.16 % (63.8/50.5/43.8)',
    'cifar100_lt/resnet32_concutmix_seed10_ir100': '53.16 % (63.8/50.5/43.8)',
    'cifar100_lt/resnet32_concutmix_ir50': '57.40 %',
    'cifar100_lt/resnet32_concutmix_ir10': '64.53 %',
    'cifar100_lt/resnet32_concutmix_400e_ir100': '55.06 %',
    'cifar10_lt/resnet32_concutmix_ir100': '86.07 %',
    'cifar10_lt/resnet32_concutmix_seed10_ir100': '86.07 %',
    'cifar10_lt/resnet32_concutmix_ir50': '88.00 %',
    'cifar10_lt/resnet32_concutmix_ir10': '91.42 %',
}


def test_every_figure_of_concutmix_on_cifar_says_what_it_is_of():
    quoted = {
        recipe
        for recipe in RECIPES
        if re.match('cifar.*/resnet32_concutmix', recipe) and 'Published' in head(recipe)
    }
    assert quoted == set(CONCUTMIX)
    for recipe, figure in CONCUTMIX.items():
        assert f'Published top-1, {BEST_EPOCH}, subset of seed 10: {figure}' in head(recipe)


def test_every_figure_of_bcl_on_cifar_says_that_cutout_was_probably_used():
    quoted = {
        recipe
        for recipe in RECIPES
        if re.match('cifar.*_bcl_', recipe) and 'Published' in head(recipe)
    }
    assert quoted == set(BCL)
    for recipe, figure in BCL.items():
        assert f'Published top-1, probably with Cutout: {figure}' in head(recipe)
