"""What is said before the first step: figures that never come, and two corrections at once."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from mmengine.hooks import CheckpointHook, EarlyStoppingHook
from torch import nn

from mmlt.datasets import ClassBalancedSampler
from mmlt.evaluation import LongTailMetric
from mmlt.hooks import DeferredReweightingHook, LongTailHook
from mmlt.hooks.run_checks import check_monitored_figures, warn_of_double_correction
from mmlt.models import CPMixBatchAugment, RemixBatchAugment
from mmlt.models.losses import CARLoss, LDAMLoss, LogitAdjustedLoss
from mmlt.trained_prior import sampling_corrections

COUNTS = [300, 200, 30]


class Data:
    def __init__(self, counts):
        self.metainfo = dict(class_counts=counts, classes=tuple(map(str, range(len(counts)))))
        self.labels = [k for k, count in enumerate(counts) for _ in range(count)]

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return index

    def get_gt_labels(self):
        return self.labels


def a_run(hooks=(), metrics=(), tested=(5, 5, 5), loss=None, augment=None, sampler=None, **cfg):
    model = nn.Sequential(*([] if loss is None else [loss]))
    model.data_preprocessor = SimpleNamespace(
        batch_augments=SimpleNamespace(augments=[augment] if augment else [])
    )
    data = Data(COUNTS)
    loader = SimpleNamespace(dataset=data, batch_sampler=SimpleNamespace(sampler=sampler))
    for metric in metrics:
        if isinstance(metric, LongTailMetric):
            metric.set_class_counts(COUNTS)
    loop = SimpleNamespace(evaluator=SimpleNamespace(metrics=list(metrics)))
    said = []
    return SimpleNamespace(
        model=model,
        hooks=list(hooks),
        param_schedulers=cfg.pop('param_schedulers', None),
        cfg=cfg,
        said=said,
        logger=SimpleNamespace(warning=said.append),
        val_dataloader=SimpleNamespace(dataset=Data(list(tested))),
        _train_loop=SimpleNamespace(dataloader=loader),
        _val_loop=loop,
        _test_loop=loop,
    )


def save_best(*names):
    return CheckpointHook(save_best=list(names), rule='greater')


def stop_early(name):
    return EarlyStoppingHook(name, rule='greater')


@pytest.mark.parametrize(
    'hook, options, tested, said',
    [
        (save_best('long_tail/few_shot'), {}, (5, 5, 5), r'^save_best: expected one of .*few_shot'),
        (save_best('long_tail/top5'), {}, (5, 5, 5), "got 'long_tail/top5'"),
        (save_best('long_tail/top1', 'long_tail/top'), {}, (5, 5, 5), "got 'long_tail/top'"),
        (save_best('top1'), {}, (5, 5, 5), 'long_tail/top1, long_tail/many_shot'),
        (save_best('long_tail/many_shot'), {}, (0, 0, 5), 'long_tail/medium_shot, '),
        (save_best('post/top1'), {}, (5, 5, 5), "got 'post/top1'"),
        (stop_early('long_tail/few_shot'), {}, (5, 5, 5), r'^EarlyStoppingHook.monitor: '),
        (save_best('long_tail/few_shot'), dict(few_threshold=31), (5, 5, 0), 'few_threshold=31'),
    ],
)  # fmt: skip
def test_a_figure_that_never_comes_is_named_before_training(hook, options, tested, said):
    with pytest.raises(ValueError, match=said) as error:
        check_monitored_figures(a_run([hook], [LongTailMetric(**options)], tested))
    assert 'many_threshold=100' in str(error.value)


def test_schedulers_are_looked_at():
    plateau = SimpleNamespace(monitor='long_tail/few_shot')
    for schedulers in ([plateau], dict(backbone=[plateau])):
        with pytest.raises(ValueError, match='few_shot'):
            check_monitored_figures(a_run(metrics=[LongTailMetric()], param_schedulers=schedulers))


@pytest.mark.parametrize(
    'names, metrics',
    [
        (['auto'], [LongTailMetric()]),
        (['long_tail/top1', 'long_tail/medium_shot', 'long_tail/macro_f1'], [LongTailMetric()]),
        (['long_tail/few_shot'], [LongTailMetric(few_threshold=31)]),
        (['long_tail/top3'], [LongTailMetric(topk=3)]),
        (['post/top1'], [LongTailMetric(), LongTailMetric(prefix='post')]),
        (['accuracy/top1'], [LongTailMetric(), SimpleNamespace(prefix='accuracy')]),
        (['accuracy/top1'], [SimpleNamespace(prefix='accuracy')]),
    ],
)
def test_figures_that_come(names, metrics):
    check_monitored_figures(a_run([save_best(*names)], metrics))


@pytest.mark.parametrize('topk', [1, 3, 5, (1, 5), [2, 3]])
@pytest.mark.parametrize('tested', [[3, 0, 4], [2, 2, 2]])
@pytest.mark.parametrize('few', [20, 31])
def test_the_figures_foretold_are_those_reported(topk, tested, few):
    metric = LongTailMetric(topk=topk, few_threshold=few)
    metric.set_class_counts(COUNTS)
    labels = [k for k, count in enumerate(tested) for _ in range(count)]
    rows = [[label, 0, 1, 2] for label in labels]
    assert list(metric.compute_metrics([rows])) == metric.figure_names(tested)


def adjusted(**options):
    return LogitAdjustedLoss(class_counts=COUNTS, **options)


def balanced(**options):
    return ClassBalancedSampler(Data(COUNTS), seed=0, **options)


POST_HOC = [LongTailMetric(), LongTailMetric(post_hoc_tau=1, prefix='post')]
DRW = DeferredReweightingHook(start_epoch=1)


@pytest.mark.parametrize(
    'parts, names',
    [
        (dict(loss=adjusted(), metrics=POST_HOC), ['tau=1', 'post_hoc_tau=1']),
        (dict(loss=CARLoss(adjusted()), metrics=POST_HOC), ['LogitAdjustedLoss', 'post_hoc']),
        (dict(loss=adjusted(prior='effective'), metrics=POST_HOC), ['Logit', 'post_hoc']),
        (dict(loss=adjusted(), augment=CPMixBatchAugment()), ['Logit', 'CPMix']),
        (dict(loss=adjusted(), augment=RemixBatchAugment()), ['Logit', 'Remix']),
        (dict(loss=adjusted(), sampler=balanced()), ['Logit', 'sampler']),
        (dict(loss=adjusted(prior=0.5), sampler=balanced(power=0.5)), ['Logit', 'sampler']),
        (dict(loss=adjusted(), hooks=[DRW]), ['Logit', 'DeferredReweightingHook']),
        (dict(loss=adjusted(class_weight='effective_number')), ['tau', 'class_weight']),
        (dict(loss=LDAMLoss(), hooks=[DRW], sampler=balanced()), ['Deferred', 'sampler']),
        (dict(metrics=POST_HOC, sampler=balanced(effective_number=0.99)), ['sampler', 'post_hoc']),
    ],
)  # fmt: skip
def test_two_corrections_are_one_warning(parts, names):
    run = a_run(**parts)
    warn_of_double_correction(run, 'val')
    assert len(run.said) == 1
    assert run.said[0].startswith('class prior: expected one correction, got ')
    assert all(name in run.said[0] for name in names)


@pytest.mark.parametrize(
    'parts',
    [
        dict(loss=adjusted()),
        dict(loss=adjusted(tau=0), metrics=POST_HOC),
        dict(loss=adjusted(tau=0, class_weight='effective_number')),
        dict(loss=adjusted(tau=0, class_weight=[2.0, 2.0, 2.0]), metrics=POST_HOC),
        dict(loss=adjusted(), augment=CPMixBatchAugment(tau=0)),
        dict(loss=adjusted(), augment=CPMixBatchAugment(label_rule='linear')),
        dict(loss=adjusted(prior='effective'), sampler=balanced()),
        dict(loss=adjusted(prior='effective'), augment=CPMixBatchAugment()),
        dict(loss=adjusted(), sampler=balanced(power=1)),
        dict(loss=LDAMLoss(), hooks=[DRW]),
        dict(metrics=POST_HOC),
    ],
)
def test_one_correction_is_none_too_many(parts):
    run = a_run(**parts)
    warn_of_double_correction(run, 'val')
    assert not run.said


@pytest.mark.parametrize(
    'train_dataloader, warned',
    [
        (dict(sampler=dict(type='ClassBalancedSampler')), True),
        (dict(sampler=dict(type='mmpretrain.ClassBalancedSampler')), True),
        (dict(sampler=dict(type=ClassBalancedSampler, effective_number=0.9)), True),
        (dict(sampler=dict(type='ClassBalancedSampler', power=1)), False),
        (dict(dataset=dict(type='ClassBalancedDataset', oversample_thr=0.1)), True),
        (dict(sampler=dict(type='DefaultSampler')), False),
    ],
)
def test_at_test_the_config_tells_of_samplers(train_dataloader, warned):
    run = a_run(metrics=POST_HOC, train_dataloader=train_dataloader)
    run._train_loop = None
    warn_of_double_correction(run, 'test')
    assert bool(run.said) == warned
    assert bool(list(sampling_corrections(train_dataloader))) == warned


def test_at_test_the_checkpoint_tells():
    hook = LongTailHook()
    run = a_run([hook], POST_HOC)
    warn_of_double_correction(run, 'test')
    assert not run.said
    hook.rebalanced = 1.0
    warn_of_double_correction(run, 'test')
    assert 'rebalance_classifier.py' in run.said[0]
