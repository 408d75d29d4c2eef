"""Recipes inherit from bases or from a sibling, and differ from it in what their names say."""

from __future__ import annotations

import re

import pytest
from mmengine.config import Config

import mmlt
from tests.configs.recipes import CONFIGS, RECIPES, differences, resolved

BASES = sorted((CONFIGS / '_base_').rglob('*.py'))


def bases_of(file):
    """Paths of the files that a config names as its bases."""
    return [(file.parent / base).resolve() for base in Config._get_base_files(str(file))]


def depth(file, among):
    """Files of the longest chain of bases from ``file`` on, counting those ``among`` says."""
    return 1 + max((depth(base, among) for base in bases_of(file) if among(base)), default=0)


def is_base(file):
    return '_base_' in file.parts


def test_a_recipe_lists_four_bases_or_one_sibling():
    kinds = ['datasets', 'models', 'schedules', '_base_']
    for recipe in RECIPES:
        file = CONFIGS / f'{recipe}.py'
        bases = bases_of(file)
        assert all(base.is_file() for base in bases), recipe
        if [base.parent for base in bases] != [file.parent.resolve()]:
            assert [base.parent.name for base in bases] == kinds, recipe


def test_chains_are_short_enough_to_follow():
    for recipe in RECIPES:
        assert depth(CONFIGS / f'{recipe}.py', lambda base: not is_base(base)) <= 3, recipe
    for base in BASES:
        assert all(is_base(parent) and parent.is_file() for parent in bases_of(base)), base
        assert depth(base, is_base) <= 4, base


def test_every_base_is_used():
    used = {base for recipe in RECIPES for base in bases_of(CONFIGS / f'{recipe}.py')}
    used |= {parent for base in BASES for parent in bases_of(base)}
    assert {base.resolve() for base in BASES} == {base for base in used if is_base(base)}


def test_the_number_of_classes_is_written_once_for_each_data_set():
    literal = re.compile(r'num_classes=\d')
    written = [
        file.relative_to(CONFIGS)
        for file in CONFIGS.rglob('*.py')
        if literal.search(file.read_text())
    ]
    assert written == []
    for recipe in RECIPES:
        cfg = resolved(recipe)
        assert cfg['model']['head']['num_classes'] == cfg['num_classes'], recipe
        assert cfg['data_preprocessor']['num_classes'] == cfg['num_classes'], recipe


CAR = {'model.head.loss', 'model.head.loss_car'}
RATIO = {
    'train_dataloader.dataset.imbalance_ratio',
    'train_dataloader.dataset.dataset.imbalance_ratio',
}
LENGTH = {'param_scheduler', 'train_cfg.max_epochs', 'model.head.label_start_epoch'}
SHORT = {
    *LENGTH,
    'train_cfg.val_interval',
    'optim_wrapper.optimizer',
    'auto_scale_lr.base_batch_size',
    'train_dataloader.batch_size',
    'default_hooks.channels_last',
    'custom_hooks',  # of CMO, which mixes in all epochs of a short run
}
# A suffix of the name, the suffix of the sibling, and what may differ.
RULES = [
    ('_ir50', '_ir100', RATIO),
    ('_ir10', '_ir100', RATIO),
    ('_400e', '', LENGTH),
    ('_180e', '', LENGTH),
    ('_15e', '', SHORT),
    ('_car', '', CAR),
    ('_car', '_ce', CAR),
]
# Published with a strength of logit compensation for each ratio and length.
TUNED = {'model.head.loss.tau'}


@pytest.mark.parametrize(('suffix', 'of_sibling', 'allowed'), RULES)
def test_siblings_differ_only_in_what_their_names_say(suffix, of_sibling, allowed):
    compared = 0
    for recipe in RECIPES:
        sibling = re.sub(rf'{suffix}(?=_|$)', of_sibling, recipe)
        if sibling == recipe or sibling not in RECIPES:
            continue
        compared += 1
        found = differences(resolved(recipe), resolved(sibling))
        if re.search('bcl|concutmix', recipe) and suffix != '_car':
            found -= TUNED
        said = {path for path in found if any(f'{path}.'.startswith(f'{a}.') for a in allowed)}
        assert found and found == said, (recipe, sibling, found - said)
        if suffix.startswith('_ir'):
            paired = resolved(recipe)['train_dataloader']['dataset']
            paired = paired.get('dataset', paired)
            assert paired['imbalance_ratio'] == int(suffix.removeprefix('_ir')), recipe
        if suffix.endswith('e'):
            epochs = resolved(recipe)['train_cfg']['max_epochs']
            assert epochs == int(suffix[1:-1]), recipe
    assert compared


def test_recipes_list_one_hook_of_ours_and_the_choices_of_their_method():
    for recipe in RECIPES:
        cfg = resolved(recipe)
        hooks = {hook['type'] for hook in cfg['default_hooks'].values()}
        expected = {'LongTailHook'}
        if '_drw' in recipe:
            expected.add('DeferredReweightingHook')
        if '_15e' in recipe:
            expected.add('ChannelsLastHook')
        assert hooks & set(mmlt.hooks.__all__) == expected, recipe
        assert 'worker_init_fn' not in cfg['train_dataloader'], 'images have seeds of their own'
