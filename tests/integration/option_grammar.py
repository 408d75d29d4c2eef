"""What every option of every registered component accepts, and values that it does not.

A value that an option means to accept is not bad, so the grammar has to be known: it stands in
``COMPONENTS``, one entry for each option. A component or an option that is missing there fails the
test that uses it.
"""

from __future__ import annotations

import inspect
import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from mmpretrain import registry as registries
from torch import nn

import mmlt  # registers everything
from mmlt import functional
from mmlt.datasets.feature_files import FeatureFile, FeatureSplit, write_features
from mmlt.functional.view_parameters import ViewOptions
from mmlt.models import KaimingWeight

# Of every kind that people and config files confuse: text for numbers, flags for numbers, ...
SPECIALS = [
    None,
    True,
    False,
    0,
    1,
    -1,
    2,
    0.0,
    0.5,
    -0.5,
    1.0,
    1.5,
    2.0,
    1e9,
    -1e9,
    math.nan,
    math.inf,
    -math.inf,
    1j,
    b'abc',
    {},
    [],
    (),
    '',
    ' ',
    'abc',
    '1',
    '0.5',
    'None',
    'True',
    'mean',
    [None],
    ['a'],
    [1],
    [0.5, 'a'],
    [math.nan],
    [-1.0],
    (1, 2, 3),
    [[1, 2], [3]],
    {'a': 1},
    {'type': 'NoSuchPart'},
    {'type': 3},
    {1, 2},
    len,
    object,
]
RAW = st.one_of(
    st.sampled_from(SPECIALS),
    st.integers(-10, 100),
    st.floats(),
    st.text('abcxyz01.-_ ', max_size=5),
    st.lists(st.one_of(st.integers(-3, 3), st.floats(), st.text('ab1', max_size=2)), max_size=3),
    st.dictionaries(st.text('abc', min_size=1, max_size=3), st.integers(-3, 3), max_size=2),
)


@dataclass(frozen=True)
class Option:
    """What an option accepts, and bad values that come close to it."""

    accepts: Callable[[Any], bool]
    near: st.SearchStrategy | None = None

    def __or__(self, other: Option) -> Option:
        near = [part.near for part in (self, other) if part.near is not None]
        return Option(
            lambda value: self.accepts(value) or other.accepts(value),
            st.one_of(near) if near else None,
        )

    @property
    def bad(self) -> st.SearchStrategy:
        """Values that the option does not mean to accept."""
        values = RAW if self.near is None else st.one_of(self.near, RAW)
        return values.filter(lambda value: not self.accepts(value))


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def is_integer(value):
    return isinstance(value, int) and not isinstance(value, bool)


def inside(low, high, open_low=False, open_high=False):
    def check(value):
        above = value > low if open_low else value >= low
        return above and (value < high if open_high else value <= high)

    return check


def nothing(value):
    """No value that is drawn is good."""
    return False


def number(interval='(-inf, inf)'):
    low, high = (float(end) for end in interval[1:-1].split(','))
    fits = inside(low, high, interval[0] == '(', interval[-1] == ')')
    ends = [end for end in (low, high) if math.isfinite(end)]
    near = [end + shift for end in ends for shift in (0.0, -1e-6, 1e-6, -1.0, 1.0)]
    return Option(lambda v: is_number(v) and fits(v), st.sampled_from([*near, math.nan, '0.5']))


def integer(low=-math.inf, high=math.inf, fits=lambda value: True):
    near = [end + shift for end in (low, high) if math.isfinite(end) for shift in (-1, 0.5, 1)]
    return Option(
        lambda v: is_integer(v) and low <= v <= high and fits(v),
        st.sampled_from([*near, 1.0, '1', True]),
    )


def choice(*values):
    return Option(
        lambda v: any(type(v) is type(one) and v == one for one in values),
        st.sampled_from([str(values[0]).upper(), f'{values[0]} ', [values[0]], values[:1]]),
    )


def numbers(interval='(-inf, inf)', length=None, extra=lambda values: True):
    one = number(interval)

    def accepts(value):
        fits = isinstance(value, (list, tuple)) and len(value) > 0 and all(map(one.accepts, value))
        return fits and length in (None, len(value)) and extra(value)

    size = length or 3
    wrong_length = st.sampled_from([[0.5] * (size + 1), [0.5] * (size - 1), (1.0,) * (size + 2)])
    wrong_entry = st.sampled_from([math.nan, math.inf, '0.5', None, True, -1.0]).map(
        lambda entry: [0.5] * (size - 1) + [entry]
    )
    return Option(accepts, st.one_of(wrong_length, wrong_entry))


def integers(low):
    one = integer(low)
    near = st.sampled_from([[low, 0.5], [low, True], [low - 1], ['1'], [None]])
    return Option(
        lambda v: isinstance(v, (list, tuple)) and len(v) > 0 and all(map(one.accepts, v)), near
    )


def _is_config(value):
    kind = value.get('type') if isinstance(value, dict) else None
    return isinstance(kind, str) and kind not in ('', 'NoSuchPart', 'Misspelt')


none = Option(lambda v: v is None)
flag = Option(lambda v: isinstance(v, bool), st.sampled_from([0, 1, 'True', 'False', None]))
config = Option(_is_config, st.sampled_from([{'typ': 'X'}, {'type': 'Misspelt'}, 'LinearClsHead']))
init_cfg = none | config | Option(lambda v: isinstance(v, list) and all(map(_is_config, v)))
mapping = Option(lambda v: isinstance(v, dict))
path = Option(lambda v: isinstance(v, (str, Path)))
text = Option(lambda v: isinstance(v, str) and v != '')
names = Option(
    lambda v: (
        isinstance(v, (list, tuple)) and len(v) > 0 and all(isinstance(one, str) for one in v)
    ),
    st.sampled_from([['a', 1], [None], 'no/such/file']),
)
transforms = Option(
    lambda v: isinstance(v, (list, tuple)) and all(_is_config(one) or callable(one) for one in v),
    st.sampled_from(
        [[{'type': 'Misspelt'}], [{'typ': 'X'}], [None], ['Resize'], {'type': 'Resize'}]
    ),
)
share, closed_share = number('[0, 1)'), number('[0, 1]')
positive, non_negative = number('(0, inf)'), number('[0, inf)')
count, size = integer(0), integer(1)
reduction = choice('mean', 'sum', 'none')
counts = none | numbers('(0, inf)', 4)
weights = none | choice('effective_number') | numbers('[0, inf)', 4, any)

COUNTS = [60, 30, 9, 2]
LABELS = [0, 0, 0, 1, 1, 2]


class Labelled(torch.utils.data.Dataset):
    """The smallest data set with labels."""

    metainfo = dict(classes=('a', 'b', 'c'))

    def __len__(self):
        return len(LABELS)

    def __getitem__(self, index):
        return index

    def get_gt_labels(self):
        return LABELS


def _optimizer():
    return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)


def _pair_sampler():
    return mmlt.datasets.PairSampler(Labelled(), seed=0)


@dataclass(frozen=True)
class Component:
    """A registered class, what it cannot do without, and its options."""

    options: dict[str, Option]
    base: Callable[[], dict[str, Any]] = dict
    of: type | None = None  # of a class that is not registered itself


_dataset = dict(
    imbalance_ratio=none | number('[1, inf)'),
    imbalance_type=choice('exp', 'step'),
    max_count=none | size,
    seed=integer(0, 2**32 - 1),
    lazy_init=flag,
    max_refetch=count,
    on_error=choice('raise', 'skip'),
    trust=flag,
)
_base_dataset = dict(
    _dataset,
    metainfo=none | mapping,
    filter_cfg=none | mapping,
    indices=none
    | integer()
    | Option(
        lambda v: isinstance(v, (list, tuple)) and all(map(is_integer, v)),
        st.sampled_from([[0.5], ['1'], [True], [None]]),
    ),
    serialize_data=flag,
    pipeline=transforms,
    test_mode=flag,
    classes=none | names,
)
_paths = dict(data_root=path, data_prefix=path | mapping)
_list = dict(
    _base_dataset,
    **_paths,
    ann_file=text,
    num_classes=none | integer(1, 10**6),
    check_images=count,
    inside_root=flag,
)
_empty = Option(lambda v: not v)


@lru_cache
def _features():
    path = Path(tempfile.mkdtemp()) / 'features.npz'
    split = FeatureSplit(np.zeros((2, 4), np.float16), np.array([0, 1]), ('', ''))
    network = dict(name='N', backbone='{}', sha256='0' * 64)
    write_features(path, FeatureFile(dict(train=split, val=split, test=split), ('a', 'b'), network))
    return str(path)


_benchmark = Component(
    {**_list, 'split': choice('train', 'val', 'test'), 'ann_file': path},
    lambda: dict(lazy_init=True),
)
_cifar = Component(
    {
        **_base_dataset,
        'data_root': text | Option(lambda v: isinstance(v, Path)),
        'data_prefix': path | mapping,
        'split': choice('train', 'test'),
        'download': flag,
    },
    lambda: dict(lazy_init=True, data_root='nowhere'),
)
_head = dict(num_classes=integer(2), in_channels=size, scale=positive, init_cfg=init_cfg)
_sizes = lambda: dict(num_classes=4, in_channels=8)  # noqa: E731
_topk = size | integers(1)
_car = dict(
    beta=share,
    margin=number(),
    temperature=positive,
    absent_classes=choice('decay', 'hold'),
    start=choice('zero', 'first_batch'),
    detach_gate=flag,
    exact=flag,
    tolerance=non_negative,
    max_labels=size,
)
_or_none = lambda options: {name: none | option for name, option in options.items()}  # noqa: E731
_loss = dict(
    class_weight=weights, class_counts=counts, reduction=reduction, loss_weight=non_negative
)
_adjusted = dict(
    _loss,
    tau=non_negative,
    prior=choice('train', 'effective') | closed_share,
    momentum=share,
    empty_classes=choice('error', 'ignore'),
    label_smooth_val=share,
)
_augments = Option(
    nothing,
    st.sampled_from(
        [
            dict(augments=dict(type='ConCutMixAugment'), probs=bad)
            for bad in ('a', 2.0, math.nan, [0.5, 0.5])
        ]
        + [dict(augments=bad) for bad in (3, 'Mixup', [], dict(type='Misspelt'), [None])]
        + [dict(augment=dict(type='ConCutMixAugment'))]
    ),
)
_preprocessor = dict(
    batch_augments=none | Option(lambda v: v == {}) | _augments,
    mean=numbers('(-inf, inf)', 3),
    std=numbers('(0, inf)', 3),
    pad_size_divisor=size,
    pad_value=number(),
    to_rgb=flag,
    to_onehot=flag,
    num_classes=none | size,
)
_some_view = none | Option(
    lambda v: v == {}, st.sampled_from([dict(hue=2), dict(flip=0.5), dict(hue='a')])
)
_normalised = lambda: dict(mean=[1.0, 2.0, 3.0], std=[1.0, 2.0, 3.0])  # noqa: E731
_range = numbers('(0, inf)', 2, lambda v: v[0] <= v[1])
_view = {
    **dict.fromkeys(['flip_prob', 'jitter_prob', 'gray_prob', 'blur_prob'], closed_share),
    **dict.fromkeys(['brightness', 'contrast', 'saturation'], closed_share),
    'hue': number('[0, 0.5]'),
    'crop_scale': numbers('(0, 1]', 2, lambda v: v[0] <= v[1]),
    'crop_ratio': _range,
    'blur_sigma': _range,
}
_depth = integer(8, fits=lambda v: v % 6 == 2)
_nothing = Component({})

COMPONENTS: dict[str, Component] = {
    **dict.fromkeys(
        [
            'BatchNormSyncHook',
            'ChannelsLastHook',
            'ClassCountsHook',
            'EpochSeedHook',
            'SkippedImagesHook',
            'TrainingProgressHook',
            'WeightsCheckHook',
            'WithinEpochHook',
        ],
        _nothing,
    ),
    **dict.fromkeys(['LongTailHook', 'ResumeCheckHook'], Component(dict(resume_anyway=flag))),
    'ConfusionPairsHook': Component(dict(momentum=share, mixed=choice('skip', 'dominant'))),
    'DeferredReweightingHook': Component(
        dict(start_epoch=count, beta=share), lambda: dict(start_epoch=1)
    ),
    'SAMHook': Component(dict(rho=positive)),
    'ClassifierInitHook': Component(
        dict(source=Option(lambda v: v == 'class_means' or str(v).endswith('.npz')))
    ),
    'EMAConfusionHook': Component(
        dict(num_pairs=count, interval=size, start_epoch=count, warmup_epochs=count)
    ),
    'CPUAutocastOptimWrapper': Component(
        dict(
            optimizer=Option(nothing),
            accumulative_counts=size,
            clip_grad=none
            | Option(
                nothing, st.sampled_from([dict(max_norm='1'), dict(max_norm=-1.0), dict(max=1.0)])
            ),
        ),
        lambda: dict(optimizer=_optimizer()),
    ),
    'LongTailDataset': Component(
        {**_dataset, 'dataset': config, 'on_error': none | choice('raise', 'skip')},
        lambda: dict(dataset=Labelled()),
    ),
    'LongTailListDataset': Component(_list, lambda: dict(ann_file='a.txt', lazy_init=True)),
    'ImageNetLT': _benchmark,
    'PlacesLT': _benchmark,
    'INaturalist2018': Component(
        {**_benchmark.options, 'split': choice('train', 'val')}, _benchmark.base
    ),
    'CIFAR10LT': _cifar,
    'CIFAR100LT': _cifar,
    'FeaturesLT': Component(
        {**_base_dataset, **_paths, 'file': text, 'network': none | text, 'pipeline': _empty}
        | {'split': choice('train', 'val', 'test'), 'max_count': none | size},
        lambda: dict(file=_features(), lazy_init=True),
    ),
    'DigitsLT': Component(
        {**_base_dataset, **_paths, 'split': choice('train', 'test'), 'max_count': integer(1, 114)},
        lambda: dict(lazy_init=True),
    ),
    'PairedDataset': Component(
        dict(dataset=config, partner_pipeline=none | transforms), lambda: dict(dataset=Labelled())
    ),
    'ClassBalancedSampler': Component(
        dict(
            dataset=Option(nothing),
            power=number(),
            progressive=flag,
            replacement=flag,
            effective_number=none | share,
            num_epochs=none | size,
            seed=none | count,
        ),
        lambda: dict(dataset=Labelled(), seed=0),
    ),
    'PairSampler': Component(
        dict(
            dataset=Option(nothing),
            partners=choice('balanced', 'inverse', 'confusion') | number(),
            pairing=choice('anchor', 'pairs'),
            pair_fraction=closed_share,
            start_epoch=count,
            normalize_confusion=flag,
            seed=none | count,
        ),
        lambda: dict(dataset=Labelled(), seed=0),
    ),
    'PairBatchSampler': Component(
        dict(sampler=Option(nothing), batch_size=size, prob=closed_share, drop_last=flag),
        lambda: dict(sampler=_pair_sampler(), batch_size=2),
    ),
    'CIFARAutoAugment': Component(dict(fill=integer(0, 255))),
    'ClippedCutout': Component(dict(size=size, pad_val=integer(0, 255))),
    'PackIndex': Component({}),
    'PlacedCrop': Component(
        dict(
            crop_size=size,
            place=choice('center', 'top left', 'top right', 'bottom left', 'bottom right'),
        ),
        lambda: dict(crop_size=4),
    ),
    'CIFARResNet': Component(
        dict(
            depth=_depth,
            in_channels=size,
            base_channels=size,
            num_stages=choice(1, 2, 3),
            frozen_stages=integer(-1, 3),
            init_cfg=init_cfg,
        ),
        lambda: dict(depth=8, base_channels=2),
    ),
    'IdentityBackbone': Component(dict(channels=size, init_cfg=init_cfg), lambda: dict(channels=4)),
    'CIFARResNetStage': Component(
        dict(depth=_depth, stage=choice(0, 1, 2), base_channels=size, init_cfg=init_cfg),
        lambda: dict(depth=8, base_channels=2),
    ),
    'MultiViewClassifier': Component(
        dict(
            backbone=config,
            neck=none | config,
            head=none | config,
            pretrained=none | text,
            train_cfg=none | Option(lambda v: v == {}) | _augments,
            data_preprocessor=none | mapping,
            batch_norm=choice('together', 'apart'),
            init_cfg=init_cfg,
        ),
        lambda: dict(backbone=nn.Identity(), neck=nn.Identity()),
    ),
    'TunedBackbone': Component(
        dict(
            backbone=config,
            tune=choice('lora', 'adapter', 'bias', 'last_blocks', 'frozen', 'full'),
            width=size,
            scale=none | positive,
            num_blocks=size,
            init_cfg=none,
        ),
        lambda: dict(
            backbone=dict(
                type='VisionTransformer',
                arch=dict(embed_dims=8, num_layers=1, num_heads=1, feedforward_channels=8),
                img_size=4,
                patch_size=2,
            )
        ),
    ),
    'BCLNeck': Component(
        dict(in_channels=size, out_channels=size, hidden_channels=none | size, init_cfg=init_cfg),
        lambda: dict(in_channels=8),
    ),
    'ContrastiveClsHead': Component(
        dict(
            _head,
            embedding_channels=size,
            hidden_channels=none | size,
            cosine=flag,
            loss=config,
            loss_bcl=config,
            loss_car=none | config,
            label_start_epoch=none | count,
            top_k=size,
            omega=non_negative,
            confidence=choice('log_count') | closed_share,
            topk=_topk,
            cal_acc=choice(False),
        ),
        _sizes,
    ),
    'CosineClsHead': Component(dict(_head, loss=config, topk=_topk, cal_acc=flag), _sizes),
    'MultiExpertClsHead': Component(
        dict(
            _head,
            num_experts=size,
            expert=none | config,
            cosine=flag,
            loss=config
            | Option(nothing, st.sampled_from([[{'type': 'CrossEntropyLoss'}], [1, 2, 3]])),
            reduction=choice('mean', 'sum'),
            topk=_topk,
            cal_acc=flag,
        ),
        _sizes,
    ),
    'BalancedContrastiveLoss': Component(dict(temperature=positive, loss_weight=non_negative)),
    'ConfusionEstimate': Component(dict(_car, num_classes=none | integer(2))),
    'CARLoss': Component(
        dict(
            _or_none(_car),
            criterion=none | config,
            setting=choice('paper', 'released'),
            loss_weight=none | non_negative,
            r0=none | non_negative,
            normalize_weights=none | flag,
            num_classes=none | integer(4, 4),
            class_counts=none | numbers('[0, inf)', 4, any),
        ),
        lambda: dict(criterion=None, class_counts=COUNTS, num_classes=4),
    ),
    'LDAMLoss': Component(
        dict(_loss, max_margin=non_negative, scale=positive, logit_scale=positive),
        lambda: dict(class_counts=COUNTS, class_weight=[1.0] * 4),
    ),
    'LogitAdjustedLoss': Component(
        _adjusted, lambda: dict(class_counts=COUNTS, class_weight=[1.0] * 4)
    ),
    'ProCoLoss': Component(
        dict(
            num_classes=integer(2),
            embedding_channels=integer(16),
            temperature=positive,
            loss_weight=non_negative,
            class_counts=counts,
        ),
        lambda: dict(num_classes=4, embedding_channels=16, class_counts=COUNTS),
    ),
    'VSLoss': Component(
        dict(_adjusted, gamma=non_negative),
        lambda: dict(class_counts=COUNTS, class_weight=[1.0] * 4),
    ),
    'PairedDataPreprocessor': Component(_preprocessor, _normalised),
    'DeviceImagesDataPreprocessor': Component(
        dict(
            {**_preprocessor, 'to_rgb': choice(False)},
            padding=count,
            flip_prob=closed_share,
            auto_augment_fill=none | integer(0, 255),
            cutout=none | size,
            num_views=count,
            view=_some_view,
        ),
        _normalised,
    ),
    'DeviceViewsDataPreprocessor': Component(
        dict(
            _preprocessor,
            view_size=integer(7)
            | Option(
                lambda v: (
                    isinstance(v, (list, tuple))
                    and len(v) == 2
                    and all(is_integer(s) and s > 6 for s in v)
                ),
                st.sampled_from([[32], [32, 32, 32], [32, 0.5], [32, '32'], (32, True), (32, 6)]),
            ),
            num_views=size,
            crops_in=choice('original', 'source'),
            view=_some_view,
        ),
        _normalised,
    ),
    'KaimingWeight': Component(dict(layer=text), of=KaimingWeight),
    'ViewOptions': Component(_view, of=ViewOptions),
    'ConfusionPairCounts': Component(
        dict(num_classes=integer(2), momentum=share, mixed=choice('skip', 'dominant')),
        lambda: dict(num_classes=4),
    ),
    'CPMixBatchAugment': Component(
        dict(
            alpha=positive,
            tau=non_negative,
            label_rule=choice('prior', 'linear', 'remix'),
            kappa=number('[1, inf)'),
            prob=closed_share,
            start_epoch=count,
            normalize_confusion=flag,
        )
    ),
    'ConCutMixAugment': Component(dict(alpha=positive)),
    'CMOBatchAugment': Component(dict(alpha=positive)),
    'RemixBatchAugment': Component(
        dict(alpha=positive, kappa=number('[1, inf)'), tau=closed_share, prob=closed_share)
    ),
    'UniMixBatchAugment': Component(dict(alpha=positive)),
    'LongTailMetric': Component(
        dict(
            many_threshold=integer(19),
            few_threshold=integer(0, 101),
            topk=_topk,
            post_hoc_tau=number(),
            floor=share,
            csv_file=none | text | Option(lambda v: isinstance(v, Path)),
            prefix=none | text,
            collect_device=choice('cpu', 'gpu'),
            collect_dir=none | text,
        )
    ),
}

_logits, _labels = torch.zeros(2, 4), torch.tensor([0, 3])


def _function(name, base, **options):
    return Component(options, base, of=getattr(functional, name))


_profile = dict(max_count=size, num_classes=size, imbalance_ratio=number('[1, inf)'))
_profile_base = lambda: dict(max_count=9, num_classes=3, imbalance_ratio=3)  # noqa: E731
_counts = lambda: dict(class_counts=COUNTS)  # noqa: E731
_scores = lambda: dict(scores=torch.eye(4), class_counts=COUNTS, omega=1.0)  # noqa: E731
_confidence = choice('log_count') | closed_share
COMPONENTS |= {
    case.of.__name__: case
    for case in [
        _function('adjust_logits', lambda: dict(logits=_logits, **_counts()), tau=number()),
        _function('adjusted_bias', lambda: dict(bias=_logits[0], **_counts()), tau=number()),
        _function('ascent_step', lambda: dict(gradients=[torch.ones(2)], rho=1.0), rho=positive),
        _function(
            'balanced_contrastive_loss',
            lambda: dict(
                embeddings=torch.ones(2, 2, 3), targets=_labels, prototypes=torch.ones(4, 3)
            ),
            temperature=positive,
        ),
        _function('class_sampling_probabilities', lambda: dict(_counts(), power=1), power=number()),
        _function('count_labels', lambda: dict(labels=[0], num_classes=1), num_classes=size),
        _function(
            'cutmix_box',
            lambda: dict(height=4, width=4, lam=0.5, centre=(0, 0)),
            height=size,
            width=size,
            lam=closed_share,
        ),
        _function('effective_number_weights', _counts, beta=share),
        _function('exponential_class_counts', _profile_base, **_profile),
        _function('step_class_counts', _profile_base, **_profile),
        _function('frequency_weights', _counts, r0=non_negative, normalize=flag),
        _function('gather_with_grad', lambda: dict(tensor=_logits), equal_sizes=flag),
        _function('label_confidence', _scores, omega=non_negative, confidence=_confidence),
        _function(
            'ldam_cross_entropy',
            lambda: dict(cosines=_logits, targets=_labels, margins=_logits[0]),
            scale=positive,
            reduction=reduction,
        ),
        _function('ldam_margins', _counts, max_margin=non_negative),
        _function(
            'logit_adjusted_cross_entropy',
            lambda: dict(logits=_logits, targets=_labels, **_counts()),
            tau=number(),
            reduction=reduction,
            label_smooth_val=share,
            empty_classes=choice('error', 'ignore'),
        ),
        _function(
            'long_tail_figures',
            lambda: dict(ranked_predictions=[[0, 1]], targets=[0], num_classes=2),
            num_classes=size,
            topk=_topk,
            floor=share,
        ),
        _function(
            'long_tail_indices',
            lambda: dict(labels=[0, 1], class_counts=[1, 1]),
            seed=integer(0, 2**32 - 1),
        ),
        _function(
            'mixed_label_weight', lambda: dict(lam=0.5, count_i=1, count_j=2), tau=non_negative
        ),
        _function('pair_distribution', lambda: dict(counts=[[1, 2], [3, 4]]), normalize=flag),
        _function(
            'semantic_scores',
            lambda: dict(_scores(), features=torch.eye(4), prototypes=torch.eye(4), top_k=2),
            top_k=size,
            omega=non_negative,
            confidence=_confidence,
        ),
        _function(
            'semantic_similarity',
            lambda: dict(features=torch.eye(4), prototypes=torch.eye(4), top_k=2),
            top_k=size,
        ),
        _function(
            'shot_groups',
            _counts,
            many_threshold=number('[19, inf)'),
            few_threshold=number('(-inf, 101]'),
        ),
        _function(
            'soft_confusion',
            lambda: dict(logits=_logits, targets=_labels),
            margin=number(),
            temperature=positive,
            detach_gate=flag,
            max_labels=size,
        ),
        _function(
            'spectral_norm', lambda: dict(matrix=torch.eye(3)), exact=flag, tolerance=non_negative
        ),
        _function(
            'proco_logits',
            lambda: dict(
                embeddings=torch.ones(2, 16), means=torch.ones(3, 16), kappa=torch.ones(3)
            ),
            temperature=positive,
        ),
        _function('tau_normalize', lambda: dict(weight=torch.ones(2, 2)), tau=number()),
        _function('top_confused_pairs', lambda: dict(confusion=torch.eye(3), count=1), count=count),
    ]
}


def registered() -> dict[str, Any]:
    """Every class of mmlt in MMPretrain's registries, but for those that a command registers."""
    return {
        name: part
        for registry in map(registries.__dict__.get, registries.__all__)
        for name, part in registry.module_dict.items()
        if part.__module__.startswith('mmlt.')
        and not part.__module__.startswith('mmlt.apps.')
        and inspect.isclass(part)
    }


def parameters(part: type) -> set[str]:
    """Options of a constructor, and of those that it passes its ``**kwargs`` to."""
    found: set[str] = set()
    for owner in part.__mro__:
        if '__init__' not in vars(owner) or owner.__module__.startswith('torch.nn.modules.module'):
            continue
        given = list(inspect.signature(owner.__init__).parameters.values())[1:]
        found |= {p.name for p in given if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
        if not any(p.kind == p.VAR_KEYWORD for p in given):
            break
    return found
