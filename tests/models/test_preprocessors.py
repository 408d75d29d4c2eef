"""Partners and views through the preprocessor, with a tiny augment in place of the real ones."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from mmpretrain.models import ClsDataPreprocessor, ImageClassifier
from mmpretrain.registry import BATCH_AUGMENTS
from mmpretrain.structures import DataSample

from mmlt.models.batch_augments.choice import BatchAugmentChoice
from mmlt.models.preprocessors import PairedDataPreprocessor

NORM = dict(mean=[1.0, 2.0, 3.0], std=[2.0, 4.0, 8.0], to_rgb=True, num_classes=4)


@BATCH_AUGMENTS.register_module(name='PairedTestAverage')
class Average:
    """Mixes half and half; remembers what it was given."""

    def __init__(self, weight=0.5):
        self.weight = weight
        self.calls = []

    def mix(self, images, partner_images, scores, partner_scores):
        self.calls.append((images, partner_images, scores, partner_scores))
        return (
            self.weight * images + (1 - self.weight) * partner_images,
            self.weight * scores + (1 - self.weight) * partner_scores,
        )

    def __call__(self, images, scores):
        raise AssertionError('called without partners')


def samples(labels):
    return [DataSample().set_gt_label(label) for label in labels]


def images(size=3, value=0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (size, 3, 4, 4), generator=generator, dtype=torch.uint8) + value


def paired(labels=(0, 3, 1), partners=(2, 3, 0), views=1):
    inputs = [images(len(labels), seed=v) for v in range(views)]
    return dict(
        inputs=inputs[0] if views == 1 else inputs,
        data_samples=samples(labels),
        partner=dict(inputs=images(len(partners), seed=9), data_samples=samples(partners)),
    )


def plain(data):
    return {key: value for key, value in copy.deepcopy(data).items() if key != 'partner'}


def build(**kwargs):
    model = PairedDataPreprocessor(
        **{**NORM, 'batch_augments': dict(augments=dict(type='PairedTestAverage')), **kwargs}
    )
    model.set_progress(epoch=0, max_epochs=1, iteration=0, seed=0)
    return model


def host(data):
    """What MMPretrain's preprocessor makes of the pixels."""
    return ClsDataPreprocessor(**NORM)(dict(inputs=data))['inputs']


@pytest.mark.parametrize('views', [1, 3])
def test_mixed_batch(views):
    model, data = build(), paired(views=views)
    raw = copy.deepcopy(data)
    out = model(data, training=True)
    anchors, rest = (raw['inputs'], []) if views == 1 else (raw['inputs'][0], raw['inputs'][1:])
    expected = (host(anchors) + host(raw['partner']['inputs'])) / 2
    first = out['inputs'] if views == 1 else out['inputs'][0]
    torch.testing.assert_close(first, expected)
    if views > 1:
        assert isinstance(out['inputs'], list) and len(out['inputs']) == views
        for view, untouched in zip(out['inputs'][1:], rest, strict=True):
            torch.testing.assert_close(view, host(untouched))
    scores = torch.stack([sample.gt_score for sample in out['data_samples']])
    torch.testing.assert_close(
        scores, torch.tensor([[0.5, 0, 0.5, 0], [0, 0, 0, 1], [0.5, 0.5, 0, 0]])
    )
    assert [int(sample.gt_label) for sample in out['data_samples']] == [0, 3, 1]


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('views', [1, 3])
def test_unmixed_batch_has_no_scores(training, views):
    data = plain(paired(views=views))
    out = build()(copy.deepcopy(data), training=training)
    assert all('gt_score' not in sample for sample in out['data_samples'])
    found = out['inputs'] if views > 1 else [out['inputs']]
    raw = data['inputs'] if views > 1 else [data['inputs']]
    for view, expected in zip(found, raw, strict=True):
        torch.testing.assert_close(view, host(expected))


def test_partners_are_not_mixed_at_test():
    model = build()
    out = model(paired(), training=False)
    assert not model.batch_augments.augments[0].calls
    assert 'gt_score' not in out['data_samples'][0]


@pytest.mark.parametrize('views', [1, 2])
def test_lists_of_images(views):
    """The form of ``pseudo_collate``: images side by side instead of stacked."""
    data = paired(views=views)
    listed = copy.deepcopy(data)
    listed['inputs'] = (
        list(data['inputs']) if views == 1 else [list(view) for view in data['inputs']]
    )
    listed['partner']['inputs'] = list(data['partner']['inputs'])
    out, expected = build()(listed, training=True), build()(data, training=True)
    torch.testing.assert_close(out['inputs'], expected['inputs'])
    torch.testing.assert_close(
        out['data_samples'][0].gt_score, expected['data_samples'][0].gt_score
    )


def test_equals_the_host_at_test():
    for inputs in (images(), list(images()), [torch.zeros(3, 4, 4), torch.zeros(3, 6, 5)]):
        labels = [0] * len(inputs)
        ours = build()(dict(inputs=inputs, data_samples=samples(labels)))
        theirs = ClsDataPreprocessor(**NORM)(dict(inputs=inputs, data_samples=samples(labels)))
        torch.testing.assert_close(ours['inputs'], theirs['inputs'])
        assert [s.gt_label for s in ours['data_samples']] == [
            s.gt_label for s in theirs['data_samples']
        ]
    assert build()(dict(inputs=images()))['data_samples'] is None


def test_scores_that_arrive_soft_are_used():
    data = paired()
    for sample in data['data_samples']:
        sample.set_gt_score(torch.tensor([0.0, 0.2, 0.8, 0.0]))
    out = build()(data, training=True)
    torch.testing.assert_close(out['data_samples'][1].gt_score, torch.tensor([0.0, 0.1, 0.4, 0.5]))


def test_to_onehot_is_kept_where_nothing_is_mixed():
    out = build(to_onehot=True, batch_augments=None)(plain(paired()), training=True)
    assert out['data_samples'][1].gt_score.tolist() == [0, 0, 0, 1]


def test_ordinary_augments_mix_the_first_view_within_the_batch():
    class Swap:
        def __call__(self, images, scores):
            return images.flip(0), scores.flip(0)

    data = plain(paired(views=2))
    model = build(batch_augments=dict(augments=[Swap()]))
    out = model(copy.deepcopy(data), training=True)
    torch.testing.assert_close(out['inputs'][0], host(data['inputs'][0]).flip(0))
    torch.testing.assert_close(out['inputs'][1], host(data['inputs'][1]))
    assert out['data_samples'][0].gt_score.tolist() == [0, 1, 0, 0]
    with pytest.raises(ValueError, match=r'mixes the partners.*Swap'):
        model(paired(), training=True)


def test_as_the_preprocessor_of_a_classifier():
    """``ImageClassifier`` hands ``train_cfg`` on; building twice from one config works."""
    config = dict(
        backbone=dict(type='LeNet5', num_classes=4),
        data_preprocessor=dict(type='PairedDataPreprocessor', num_classes=4),
        train_cfg=dict(augments=[dict(type='PairedTestAverage', weight=0.3)], probs=[0.5]),
    )
    before = copy.deepcopy(config['train_cfg'])
    for _ in range(2):
        model = ImageClassifier(
            **copy.deepcopy({k: v for k, v in config.items() if k != 'train_cfg'}),
            train_cfg=config['train_cfg'],
        )
        choice = model.data_preprocessor.batch_augments
        assert choice.augments[0].weight == 0.3 and choice.paired
    assert config['train_cfg'] == before


def bad(change, **kwargs):
    return pytest.param(change, kwargs, id=change.__name__)


def other_size(data):
    data['partner']['inputs'] = torch.zeros(3, 3, 5, 4)


def images_of_several_sizes(data):
    data['inputs'] = [torch.zeros(3, 4, 4), torch.zeros(3, 4, 4), torch.zeros(3, 4, 5)]


def fewer_partners(data):
    data['partner'] = paired(partners=(1, 2))['partner']


def without_samples(data):
    del data['partner']['data_samples']


def label_out_of_range(data):
    data['data_samples'] = samples([0, 4, 1])


def partner_label_out_of_range(data):
    data['partner']['data_samples'] = samples([0, -1, 1])


def several_labels(data):
    data['data_samples'][1].set_gt_label([0, 1, 0, 0])


def no_label(data):
    data['data_samples'] = [DataSample() for _ in range(3)]


def scores_of_other_length(data):
    for sample in data['data_samples']:
        sample.set_gt_score(torch.ones(5) / 5)


def number_of_classes_unknown(data):
    pass


def no_augment(data):
    pass


@pytest.mark.parametrize(
    'change, kwargs',
    [
        bad(other_size),
        bad(images_of_several_sizes),
        bad(fewer_partners),
        bad(without_samples),
        bad(label_out_of_range),
        bad(partner_label_out_of_range),
        bad(several_labels),
        bad(no_label),
        bad(scores_of_other_length),
        bad(number_of_classes_unknown, num_classes=None),
        bad(no_augment, batch_augments=None),
    ],
)
def test_bad_batches(change, kwargs):
    data = paired()
    change(data)
    with pytest.raises(ValueError, match=r'partner|gt_label|gt_score|num_classes|batch_augments'):
        build(**kwargs)(data, training=True)


@pytest.mark.parametrize(
    'config, error',
    [
        (dict(augments=[]), ValueError),
        (dict(augments=[Average(), dict(type='Mixup', alpha=1.0)]), ValueError),
        (dict(augments=Average(), probs=[0.5, 0.2]), ValueError),
        (dict(augments=Average(), probs=1.2), ValueError),
        (dict(augments=Average(), probs=-0.2), ValueError),
        (dict(augments=Average(), probs=float('nan')), ValueError),
        (dict(augments=Average(), probs='half'), ValueError),
        (dict(augments=3), ValueError),
        (dict(probs=1.0), ValueError),
        (dict(augments=Average(), prob=1.0), ValueError),
        ([dict(type='Mixup')], ValueError),
    ],
)
def test_bad_augments(config, error):
    with pytest.raises(error, match=r'augments|probs'):
        build(batch_augments=config)


@pytest.mark.parametrize(
    'options, name',
    [
        (dict(std=None), 'mean, std'),
        (dict(num_classes=0), 'num_classes'),
        (dict(to_rgb='yes'), 'to_rgb'),
    ],
)
def test_bad_options(options, name):
    with pytest.raises(ValueError, match=name):
        build(**options)


def test_several_augments_follow_probs_seed_and_iteration():
    augments = [Average(0.1), Average(0.2)]
    choice = BatchAugmentChoice(augments, probs=[0.2, 0.5])

    def draws(seed):
        drawn = []
        for iteration in range(2000):
            choice.set_progress(epoch=0, max_epochs=1, iteration=iteration, seed=seed)
            drawn.append(choice.draw())
        return drawn

    first = draws(1)
    shares = [np.mean([d is a for d in first]) for a in (*augments, None)]
    np.testing.assert_allclose(shares, [0.2, 0.5, 0.3], atol=0.04)
    assert draws(1) == first and draws(2) != first
    choice.set_progress(epoch=0, max_epochs=1, iteration=7, seed=1)
    assert choice.draw() is choice.draw() is first[7]


def test_progress_reaches_the_choice():
    model = build(batch_augments=dict(augments=[Average(0.1), Average(0.2)]))
    twin = BatchAugmentChoice([Average(0.1), Average(0.2)])
    for iteration in range(20):
        model.set_progress(epoch=0, max_epochs=1, iteration=iteration, seed=3)
        twin.set_progress(epoch=0, max_epochs=1, iteration=iteration, seed=3)
        model(paired(), training=True)
        used = [bool(augment.calls) for augment in model.batch_augments.augments]
        assert used[twin.augments.index(twin.draw())]
        for augment in model.batch_augments.augments:
            augment.calls.clear()


def test_without_progress_it_names_the_hook():
    with pytest.raises(ValueError, match='LongTailHook'):
        BatchAugmentChoice([Average(), Average()]).draw()
    model = PairedDataPreprocessor(**NORM, batch_augments=dict(augments=Average()))
    with pytest.raises(ValueError, match=r'Average.*LongTailHook'):
        model(dict(inputs=images(1), data_samples=samples([0])), training=True)
    model(dict(inputs=images(1), data_samples=samples([0])), training=False)


def test_one_image():
    out = build()(paired(labels=(1,), partners=(1,)), training=True)
    assert out['data_samples'][0].gt_score.tolist() == [0, 1, 0, 0]


def test_one_hot_scores_would_pass_for_mixed_ones():
    with pytest.raises(ValueError, match='to_onehot'):
        PairedDataPreprocessor(
            num_classes=3,
            to_onehot=True,
            batch_augments=dict(augments=dict(type='ConCutMixAugment')),
        )
