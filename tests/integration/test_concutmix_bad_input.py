"""What a user can get wrong about ConCutMix + CAR, through the whole path from config to loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import TRANSFORMS

from mmlt.datasets import DigitsLT
from tests.digits_runner import digits_config

CLASSIFICATION_VIEW = dict(type='RandomCrop', crop_size=8, padding=1)


@TRANSFORMS.register_module(name='BadInputOneHot')
class OneHot(BaseTransform):
    """The label as a row of the identity, under either name."""

    def __init__(self, key):
        self.key = key

    def transform(self, results):
        results[self.key] = np.eye(10, dtype=np.float32)[results['gt_label']].tolist()
        if self.key == 'gt_label':
            results[self.key] = [int(score) for score in results[self.key]]
        return results


@TRANSFORMS.register_module(name='BadInputGrow')
class Grow(BaseTransform):
    """Images of a size that depends on the class."""

    def transform(self, results):
        pad = results['gt_label'] % 2
        results['img'] = np.pad(results['img'], [(0, pad), (0, 0), (0, 0)])
        return results


@pytest.fixture(scope='module')
def labels():
    return DigitsLT(imbalance_ratio=50).get_gt_labels()


class Losses(Hook):
    def __init__(self):
        self.steps = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.steps.append({name: float(value) for name, value in outputs.items()})


@pytest.fixture
def train(tmp_path, monkeypatch):
    """Train an epoch of the digits recipe with its labels rectified; what each step logged."""

    def run(change=lambda cfg: None, prob=1.0, **options):
        cfg = digits_config(
            tmp_path,
            'resnet8_concutmix_car',
            1,
            **{
                'model.head.label_start_epoch': 0,
                'default_hooks.checkpoint': None,
                'train_dataloader.batch_sampler.prob': prob,
                **options,
            },
        )
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
        cfg.experiment_name = f'bad_input_{tmp_path.name}'
        change(cfg)
        losses = Losses()
        runner = Runner.from_cfg(cfg)
        runner.register_hook(losses)
        runner.train()
        assert torch.tensor([list(step.values()) for step in losses.steps]).isfinite().all()
        return losses.steps

    return run


def assert_alike(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)


def pipeline_of(cfg):
    return cfg.train_dataloader.dataset.dataset.pipeline


def views(number):
    """Fewer views than the recipe has."""

    def change(cfg):
        if number == 1:
            pipeline_of(cfg)[0] = CLASSIFICATION_VIEW
        else:
            pipeline_of(cfg)[0].update(num_views=[number], transforms=[[CLASSIFICATION_VIEW]])

    return change


@pytest.mark.parametrize('number', [1, 2])
@pytest.mark.parametrize('prob', [0.0, 1.0])
def test_fewer_than_three_views(train, number, prob):
    with pytest.raises(ValueError, match='at least 3 views of each image'):
        train(views(number), prob)


def without_partners(cfg):
    """The ordinary loader in place of pairs; the batch augment stays."""
    loader = cfg.train_dataloader
    loader.dataset, loader.sampler = (
        loader.dataset.dataset,
        dict(type='DefaultSampler', shuffle=True),
    )
    del loader['batch_sampler']


def test_a_loader_without_partners(train):
    with pytest.raises(
        ValueError, match=r"dataset: expected dict\(type='PairedDataset'.*got DigitsLT"
    ):
        train(without_partners)


def test_the_preprocessor_of_the_host_cannot_take_the_augment(train):
    """It keeps the labels of the images that were taken for partners."""

    def change(cfg):
        without_partners(cfg)
        pipeline_of_plain = cfg.train_dataloader.dataset.pipeline
        pipeline_of_plain[0] = CLASSIFICATION_VIEW
        cfg.data_preprocessor.type = 'ClsDataPreprocessor'
        cfg.data_preprocessor.to_onehot = True

    with pytest.raises(ValueError, match=r"dataset: expected dict\(type='PairedDataset'"):
        train(change)


def ordinary_sampler(cfg):
    cfg.train_dataloader.sampler = dict(type='DefaultSampler', shuffle=True)
    del cfg.train_dataloader['batch_sampler']


def ordinary_batch_sampler(cfg):
    del cfg.train_dataloader['batch_sampler']


def sampler_of_single_images(cfg):
    ordinary_sampler(cfg)
    cfg.train_dataloader.sampler = dict(type='ClassBalancedSampler')


def pairs_inside_another_wrapper(cfg):
    loader = cfg.train_dataloader
    loader.dataset = dict(type='RepeatDataset', times=2, dataset=loader.dataset)


def pairs_of_ordinary_data(cfg):
    cfg.train_dataloader.dataset = cfg.train_dataloader.dataset.dataset


def ordinary_preprocessor(cfg):
    cfg.data_preprocessor.type = 'ClsDataPreprocessor'
    cfg.model.train_cfg = None
    cfg.train_dataloader.num_batch_per_epoch = 3  # hides the data set behind a proxy


def ordinary_augment(cfg):
    cfg.model.train_cfg = dict(augments=dict(type='Mixup', alpha=1.0))


def test_ranks_with_batches_of_other_sizes(train, monkeypatch):
    """They would wait for each other for ever."""

    def of_two_ranks(sizes):
        return [sizes, {**sizes, 'train_dataloader, images per epoch': 304}]

    def ordinary(cfg):
        without_partners(cfg)
        cfg.model.train_cfg = None

    monkeypatch.setattr('mmlt.hooks.ranks.all_gather_object', of_two_ranks)
    with pytest.raises(ValueError, match=r'images per epoch: expected the same .* got 305, 304 on'):
        train(ordinary)


@pytest.mark.parametrize(
    'change, message',
    [
        (ordinary_sampler, r"sampler: expected dict\(type='PairSampler'\), got DefaultSampler"),
        (sampler_of_single_images, 'sampler: .* got ClassBalancedSampler'),
        (ordinary_batch_sampler, r"expected dict\(type='PairBatchSampler'.*got BatchSampler"),
        (pairs_inside_another_wrapper, 'dataset: .* got RepeatDataset'),
        (pairs_of_ordinary_data, 'dataset: .* got DigitsLT. Pairs are drawn .* PairSampler'),
        (ordinary_preprocessor, 'data_preprocessor: .* got ClsDataPreprocessor'),
        (ordinary_augment, 'augments: .* got Mixup'),
    ],
)
def test_parts_that_do_not_fit_are_refused_before_training(train, change, message):
    with pytest.raises(ValueError, match=message):
        train(change)


def test_partners_of_another_size(train):
    def change(cfg):
        cfg.train_dataloader.dataset.partner_pipeline = [
            dict(type='Resize', scale=12),
            dict(type='PackInputs'),
        ]

    with pytest.raises(ValueError, match=r'partner_pipeline.*\(3, 12, 12\).*\(3, 8, 8\)'):
        train(change)


def test_views_of_different_sizes(train):
    def change(cfg):
        pipeline_of(cfg)[0].transforms[1][0].scale = 10

    with pytest.raises(ValueError, match='views of one shape'):
        train(change)


@pytest.mark.parametrize('collate', ['default_collate', 'pseudo_collate'])
def test_images_of_different_sizes(train, collate):
    """Either way of MMEngine to make a batch."""

    def change(cfg):
        pipeline_of(cfg).insert(0, dict(type='BadInputGrow'))
        grown = pipeline_of(cfg)[1]
        grown.update(num_views=[1, 2], transforms=[[], []])
        cfg.train_dataloader.collate_fn = dict(type=collate)

    with pytest.raises((ValueError, RuntimeError), match='size'):
        train(change)


@pytest.mark.parametrize('prob', [0.0, 1.0])
def test_one_hot_labels(train, prob):
    def change(cfg):
        pipeline_of(cfg).insert(0, dict(type='BadInputOneHot', key='gt_label'))

    with pytest.raises(ValueError, match=r'gt_label.*gt_score'):
        train(change, prob)


@pytest.mark.parametrize('prob', [0.0, 1.0])
def test_one_hot_scores_do_as_the_labels_would(train, prob):
    def change(cfg):
        pipeline_of(cfg).insert(0, dict(type='BadInputOneHot', key='gt_score'))

    assert_alike(train(change, prob), train(prob=prob))


def test_top_k_beyond_the_classes_means_all_of_them(train):
    beyond, all_of_them = (train(**{'model.head.top_k': top_k}) for top_k in (11, 10))
    assert_alike(beyond, all_of_them)
    assert all('gamma' in step for step in beyond)


@pytest.mark.parametrize('batch_size', [1, 64])
def test_classes_with_one_image(train, labels, batch_size):
    """Of no confidence, since its measure is the logarithm of the counts."""
    firsts = [int(np.flatnonzero(labels == k)[0]) for k in range(10)]
    steps = train(
        **{
            'train_dataloader.dataset.dataset.indices': firsts,
            'train_dataloader.batch_size': batch_size,
        }
    )
    assert len(steps) == -(-10 // batch_size)
    assert all(step['gamma'] == 0 for step in steps)


@pytest.fixture(scope='module')
def nine_classes(labels):
    return np.flatnonzero(labels != 4).tolist()


def test_a_class_without_images(train, nine_classes):
    with pytest.raises(ValueError, match=r'empty_classes'):
        train(**{'train_dataloader.dataset.dataset.indices': nine_classes})


def test_a_class_without_images_can_be_left_out(train, nine_classes):
    steps = train(
        **{
            'train_dataloader.dataset.dataset.indices': nine_classes,
            'model.head.loss.empty_classes': 'ignore',
        }
    )
    assert all('gamma' in step for step in steps)
