"""Judging a model: figures, class counts from wherever they are, and files."""

from __future__ import annotations

import csv
import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmlt.apps.evaluate import main
from mmlt.apps.evaluate.command import parse_args
from mmlt.apps.evaluate.counts import counts_from
from mmlt.apps.evaluate.inference import same_images
from mmlt.apps.evaluate.judge import judge, sweep_tau
from mmlt.apps.evaluate.results import worst_line
from mmlt.apps.predictions import Predictions, load_predictions, save_predictions
from mmlt.evaluation import LongTailMetric
from mmlt.evaluation.names import from_cell

COUNTS = [200, 50, 10]


def toy(images=300, seed=0, counts=COUNTS):
    """Predictions that favour frequent classes, as those of a plain training do."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, images)
    logits = generator.normal(size=(images, 3)) + 1.5 * np.eye(3)[labels] + np.log(COUNTS)
    return Predictions(
        paths=np.full(images, ''),
        labels=labels,
        probabilities=torch.from_numpy(logits).softmax(1).float().numpy(),
        classes=np.array(['=one', 'two $2$', 'three']),
        class_counts=None if counts is None else np.array(counts),
        split='test',
    )


@pytest.mark.parametrize('tau', [0.0, 1.0])
def test_figures_are_those_of_the_metric(tau):
    predictions = toy()
    metric = LongTailMetric(topk=(1, 5), post_hoc_tau=tau)
    metric.set_class_counts(COUNTS)
    pairs = zip(predictions.labels, torch.from_numpy(predictions.probabilities), strict=True)
    metric.process(
        None, [dict(gt_label=torch.tensor([int(k)]), pred_score=row) for k, row in pairs]
    )
    expected = metric.evaluate(len(predictions.labels))
    found = judge(predictions, tau=tau).figures
    for name, value in expected.items():
        assert found[name.removeprefix('long_tail/')] == pytest.approx(value), name
    assert {'many_shot', 'medium_shot', 'few_shot', 'ece'} <= set(found)


def test_intervals_hold_their_figures():
    judged = judge(toy())
    for name, (low, high) in judged.intervals.items():
        assert 0 <= low <= judged.figures[name] <= high <= 100


def test_classes_that_are_as_low_as_the_worst_are_named():
    probabilities = np.zeros((10, 10), dtype=np.float32)
    probabilities[:, 0] = 1
    names = np.array([f'class_{k}' for k in range(10)])
    predictions = Predictions(np.full(10, ''), np.arange(10), probabilities, names)
    line = worst_line(predictions, judge(predictions))
    assert line.startswith('worst class: class_1 (0.0 % of 1 image,')
    assert line.endswith('; as low: class_2, class_3, class_4, class_5, class_6 and 3 others')


def test_the_sweep_finds_the_prior_that_was_put_in():
    results = sweep_tau(toy(images=3000))
    assert max(results, key=results.get) in (0.75, 1.0, 1.25)
    assert results[1.0] > results[0.0] + 5


def test_an_image_without_a_prediction_is_wrong_and_in_no_confidence():
    predictions = toy()
    predictions.probabilities[0] = np.nan
    judged = judge(predictions)
    assert judged.predicted[0] == -1 and np.isfinite(judged.figures['ece'])


def test_saved_predictions_are_judged(tmp_path, capsys):
    save_predictions(tmp_path / 'p.npz', toy())
    save_predictions(tmp_path / 'val.npz', toy(seed=1))
    out = tmp_path / 'out'
    arguments = [str(tmp_path / 'p.npz'), '--out-dir', str(out)]
    assert main([*arguments, '--tau', 'sweep', '--validation', str(tmp_path / 'val.npz')]) == 0
    shown = capsys.readouterr()
    assert shown.err == ''
    assert 'few' in shown.out and 'post-hoc, tau' in shown.out and 'worst class: three' in shown.out
    metrics = json.loads((out / 'metrics.json').read_text())
    assert metrics['tau'] == float(max(metrics['sweep'], key=metrics['sweep'].get))
    assert set(metrics['results']) == {'as predicted', f'post-hoc, tau {metrics["tau"]:g}'}
    with (out / 'per_class.csv').open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert [from_cell(row['name']) for row in rows] == toy().classes.tolist()
    assert [int(row['train_count']) for row in rows] == COUNTS
    with (out / 'confusion.csv').open(newline='') as file:
        table = list(csv.DictReader(file))
    assert sum(int(row['images']) for row in table) == 300
    assert {row['true_name'] for row in table} <= {"'=one", 'two $2$', 'three'}
    for name in ('accuracy.png', 'confusion.png'):
        assert (out / name).stat().st_size > 5000
    assert np.array_equal(load_predictions(out / 'predictions.npz').labels, toy().labels)

    assert main(arguments) == 2
    assert '--out-dir: expected a folder without an evaluation' in capsys.readouterr().err
    assert main([*arguments, '--force', '--tau', '0']) == 0


def test_a_sweep_that_finds_no_correction_says_so(tmp_path, capsys):
    balanced = toy(images=3000)
    balanced.probabilities[:] /= np.array(COUNTS) / sum(COUNTS)
    balanced.probabilities[:] /= balanced.probabilities.sum(1, keepdims=True)
    save_predictions(tmp_path / 'p.npz', balanced)
    path = str(tmp_path / 'p.npz')
    assert main([path, '--tau', 'sweep', '--validation', path]) == 0
    shown = capsys.readouterr()
    assert 'post-hoc' not in shown.out
    assert 'no strength of the post-hoc correction helps' in shown.err


def test_without_counts_it_says_what_to_give(tmp_path, capsys):
    save_predictions(tmp_path / 'p.npz', toy(counts=None))
    assert main([str(tmp_path / 'p.npz'), '--out-dir', str(tmp_path / 'out')]) == 0
    shown = capsys.readouterr()
    assert shown.err.count('\n') == 1 and '--class-counts-from FILE gives them' in shown.err
    assert 'few' not in shown.out and 'worst class' in shown.out


def test_a_pickle_and_a_list_of_training_images(tmp_path, capsys):
    predictions = toy()
    samples = [
        dict(gt_label=torch.tensor([int(k)]), pred_score=torch.from_numpy(row))
        for k, row in zip(predictions.labels, predictions.probabilities, strict=True)
    ]
    (tmp_path / 'p.pkl').write_bytes(pickle.dumps(samples))
    lines = [f'my images/{k}_{i}.png {k}\n' for k in range(3) for i in range(COUNTS[k])]
    (tmp_path / 'train.txt').write_text(''.join(lines))
    command = [str(tmp_path / 'p.pkl'), '--class-counts-from', str(tmp_path / 'train.txt')]
    assert main(command) == 0
    assert 'post-hoc, tau 1' in capsys.readouterr().out
    assert (tmp_path / 'p_evaluation' / 'metrics.json').is_file()
    for text, known in (('red $fox$\ndog\ncat\n', True), ('red $fox$\ndog\n', False)):
        (tmp_path / 'classes.txt').write_text(text)
        assert main([*command, '--force']) == 0
        worst = 'worst class: cat (' if known else 'worst class: 2 ('
        assert worst in capsys.readouterr().out


@pytest.mark.parametrize(
    'name, text, expected',
    [
        ('a.txt', 'x.png cat\ny.png cat\nz.png dog\n', [2, 1]),
        ('a.txt', 'x.png 1\ny.png 0\nz.png 1\n\n', [1, 2]),
        ('a.csv', 'path,label,split\nx,cat,train\ny,dog,test\nz,dog,train\nw,dog,train\n', [1, 2]),
        ('a.csv', 'class_id,train_count\n0,7\n1,3\n', [7, 3]),
        ('a.txt', 'x.png bird\n', "expected labels that are names of classes.*got 'bird'"),
        ('a.txt', 'x.png 2\n', 'integers below 2'),
        ('a.txt', '', 'expected counts of 2 classes'),
        ('a.csv', 'a,b\n1,2\n', 'expected a column train_count or label, got a, b'),
        ('a.csv', 'train_count\n1\n', 'expected counts of 2 classes'),
        ('a.csv', 'train_count\n1\nx\n', 'train_count: expected an integer'),
        ('a.csv', 'class_id,train_count\n1,7\n0,3\n', 'class_id: expected 0, 1'),
    ],
)
def test_counts_from_lists_and_tables(tmp_path, name, text, expected):
    (tmp_path / name).write_text(text)
    if isinstance(expected, list):
        assert counts_from(tmp_path / name, ['cat', 'dog']) == expected
    else:
        with pytest.raises(ValueError, match=expected):
            counts_from(tmp_path / name, ['cat', 'dog'])


@pytest.mark.parametrize(
    'name, text, expected',
    [
        # As a project writes its list, and MMPretrain: labels are indices, whatever the names are.
        ('a.txt', 'a.png 0\nb.png 1\nc.png 2\nd.png 2\n', [1, 1, 2, 0]),
        ('a.txt', 'a.png 10\nb.png 10\nc.png 1\n', [1, 2, 0, 0]),
        ('a.csv', 'path,label\na,10\nb,2\nc,1\nd,2\n', [1, 1, 2, 0]),
        ('a.csv', 'path,label\na,0\nb,2\n', [1, 0, 1, 0]),
        ('a.csv', 'path,label\na,1\nb,2\n', "label: expected names .* or their indices, got '1'"),
        ('a.csv', 'name,train_count\n3,5\n2,20\n10,7\n1,9\n', [9, 7, 20, 5]),
        ('a.csv', 'name,train_count\n3,5\n2,20\n0,7\n1,9\n', "name: expected the .*got '0'"),
        ('a.csv', 'class_id,name,train_count\n0,3,5\n1,2,6\n2,1,7\n3,10,8\n', [7, 8, 6, 5]),
    ],
)
def test_classes_that_are_named_by_numbers_keep_their_counts(tmp_path, name, text, expected):
    """Folders in the order of their names as texts: 1, 10, 2, 3."""
    (tmp_path / name).write_text(text)
    if isinstance(expected, list):
        assert counts_from(tmp_path / name, ['1', '10', '2', '3']) == expected
    else:
        with pytest.raises(ValueError, match=expected):
            counts_from(tmp_path / name, ['1', '10', '2', '3'])


def test_a_table_numbers_classes_that_have_no_names(tmp_path):
    """Predictions of a ``.pkl``."""
    (tmp_path / 'a.csv').write_text('class_id,name,train_count\n0,cat,7\n1,dog,3\n')
    assert counts_from(tmp_path / 'a.csv', ['0', '1']) == [7, 3]
    (tmp_path / 'a.csv').write_text('class_id,name,train_count\n0,1,7\n1,0,3\n')
    with pytest.raises(ValueError, match=r'name: .*got them in another order'):
        counts_from(tmp_path / 'a.csv', ['0', '1'])


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['none.npz'], 'none.npz: expected predictions'),
        (['none.py', 'a.pth'], 'config: expected a config file, got no such file'),
        (['p.npz', '--class-counts-from', 'none.txt'], '--class-counts-from: expected'),
        (['p.npz', '--tau', 'sweep', '--validation', 'none.npz'], 'none.npz: expected predictions'),
        (
            ['p.npz', '--tau', 'sweep', '--validation', 'other.npz'],
            "'three' at index 2, got 'four'",
        ),
    ],
)
def test_mistakes_are_one_line(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    save_predictions(tmp_path / 'p.npz', toy())
    other = replace(toy(), classes=np.array(['=one', 'two $2$', 'four']))
    save_predictions(tmp_path / 'other.npz', other)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith('mmlt evaluate: error: ') and message in error
    assert error.count('\n') == 1


def test_lists_of_two_names_may_hold_the_same_images(tmp_path):
    """As ``mmlt new`` writes them where no class has an image to spare."""
    data = dict(type='LongTailListDataset', data_root=str(tmp_path), data_prefix='images')
    cfg = Config(
        {f'{name}_dataloader': dict(dataset=dict(data, ann_file=f'{name}.txt'))
         for name in ('val', 'test')}
    )  # fmt: skip
    for text, same in (('a.png 0\n', True), ('b.png 0\n', False)):
        (tmp_path / 'val.txt').write_text('a.png 0\n')
        (tmp_path / 'test.txt').write_text(text)
        assert same_images(cfg) is same
        wrapped = Config(
            {name: dict(dataset=dict(type='X', dataset=cfg[name].dataset)) for name in cfg}
        )
        assert same_images(wrapped) is same
        cfg.val_dataloader.dataset.update(pipeline=[dict(type='Resize')], test_mode=True)
        assert same_images(cfg) is same, 'whatever prepares them'
    cfg.val_dataloader = None
    assert not same_images(cfg)


@pytest.mark.parametrize(
    'checkpoint, split, expected',
    [
        ('epoch_2.pth', 'test', 'evaluation'),
        ('epoch_2.pth', 'val', 'evaluation_val'),
        ('best_top1_epoch_1.pth', 'test', 'evaluation_best_top1_epoch_1'),
        ('best_top1_epoch_1.pth', 'val', 'evaluation_best_top1_epoch_1_val'),
    ],
)
def test_only_the_last_epoch_on_the_test_images_is_the_evaluation(
    tmp_path, checkpoint, split, expected
):
    for name in ('epoch_2.pth', 'best_top1_epoch_1.pth'):
        (tmp_path / name).touch()
    args = parse_args(['a.py', str(tmp_path / checkpoint), '--split', split])
    assert args.out_dir == tmp_path / expected


@pytest.mark.parametrize(
    'arguments',
    [
        ['a.py'],
        ['a', 'b', 'c'],
        ['p.npz', '--tau', 'nan'],
        ['p.npz', '--tau', 'sweep'],
        ['p.npz', '--thresholds', '1', '9'],
        ['p.npz', '--validation', 'v.npz'],
        ['p.npz', '--split', 'val'],
        ['p.npz', '--cfg-options', 'a=1'],
    ],
)
def test_wrong_arguments_end_with_status_2(arguments):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2


STOCK = """
custom_imports = dict(imports=['mmlt'])
default_scope = 'mmpretrain'
pipeline = [dict(type='PackInputs')]
model = dict(
    type='ImageClassifier',
    backbone=dict(type='CIFARResNet', depth=8, base_channels=4),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=10, in_channels=16,
              loss=dict(type='CrossEntropyLoss')))
data_preprocessor = dict(num_classes=10, mean=[78.] * 3, std=[96.] * 3)
train_dataloader = dict(batch_size=8, dataset=dict(
    type='DigitsLT', split='train', imbalance_ratio=50, pipeline=pipeline))
test_dataloader = dict(batch_size=300, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='DigitsLT', split='test', test_mode=True, pipeline=pipeline))
test_evaluator = dict(type='Accuracy')
test_cfg = dict()
"""


@pytest.mark.parametrize('workers', [0, 1])
def test_an_image_that_cannot_be_read_is_one_line(tmp_path, capsys, workers):
    from mmpretrain.registry import MODELS

    (tmp_path / 'a.png').write_bytes(b'no image')
    (tmp_path / 'test.txt').write_text('a.png 0\n')
    data = dict(
        type='LongTailListDataset', data_root=str(tmp_path), ann_file='test.txt', num_classes=10,
        test_mode=True, pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')],
    )  # fmt: skip
    config = tmp_path / 'stock.py'
    loader = f'dict(batch_size=1, num_workers={workers}, dataset={data})'
    config.write_text(f'{STOCK}train_dataloader = None\ntest_dataloader = {loader}\n')
    cfg = Config.fromfile(config)
    model = MODELS.build({**cfg.model, 'data_preprocessor': cfg.data_preprocessor})
    torch.save(dict(state_dict=model.state_dict(), meta={}), tmp_path / 'a.pth')
    assert main([str(config), str(tmp_path / 'a.pth')]) == 2
    error = capsys.readouterr().err
    assert error.startswith('mmlt evaluate: error: ') and 'a.png' in error
    assert error.count('\n') == 1 and 'Traceback' not in error


def test_a_checkpoint_without_counts_is_judged_by_its_config(tmp_path, capsys, monkeypatch):
    """As MMPretrain leaves it: no hook, no metric and no counts of mmlt."""
    from mmpretrain.registry import MODELS

    config = tmp_path / 'stock.py'
    config.write_text(STOCK)
    torch.manual_seed(0)
    cfg = Config.fromfile(config)
    model = MODELS.build({**cfg.model, 'data_preprocessor': cfg.data_preprocessor})
    torch.save(dict(state_dict=model.state_dict(), meta={}), tmp_path / 'a.pth')
    assert main([str(config), str(tmp_path / 'a.pth'), '--features']) == 0
    shown = capsys.readouterr()
    assert 'test: 600 images' in shown.out and 'few' in shown.out and shown.err == ''
    assert 'Loads checkpoint' not in shown.out
    metrics = json.loads((tmp_path / 'evaluation' / 'metrics.json').read_text())
    assert metrics['class_counts_from'] == 'the training data of the config'
    kept = load_predictions(tmp_path / 'evaluation' / 'predictions.npz')
    np.testing.assert_allclose(kept.probabilities.sum(1), 1, atol=1e-5)
    assert np.bincount(kept.labels).tolist() == [60] * 10
    # The features are those from which the classifier made these probabilities, image by image.
    logits = model.head.fc(torch.from_numpy(kept.features)).detach()
    np.testing.assert_allclose(logits.softmax(1), kept.probabilities, atol=1e-5)

    for wrong in ('model.head.type=Los', 'model.head.nums=1'):
        assert main([str(config), str(tmp_path / 'a.pth'), '--force', '--cfg-options', wrong]) == 2
        error = capsys.readouterr().err
        assert error.count('\n') == 1 and 'error: config: expected parts that exist' in error

    with monkeypatch.context() as patched, pytest.raises(KeyError, match='own code'):
        patched.setattr(Runner, 'from_cfg', lambda cfg: {}['own code'])
        main([str(config), str(tmp_path / 'a.pth'), '--force'])

    adjusted = ['--cfg-options', 'model.head.loss.type=LogitAdjustedLoss']
    assert main([str(config), str(tmp_path / 'a.pth'), '--force', *adjusted]) == 0
    error = capsys.readouterr().err
    assert 'trained with LogitAdjustedLoss(tau=1)' in error and 'corrected twice' in error

    names = list('abcdefghij')
    named = f'test_dataloader.dataset.metainfo.classes=[{",".join(names)}]'
    command = [str(config), str(tmp_path / 'a.pth'), '--force', '--cfg-options', named]
    meta = dict(
        dataset_meta=dict(classes=['another', *names[1:]]),
        rebalanced_classifier=dict(method='logit_adjustment', tau=1.0),
    )
    torch.save(dict(state_dict=model.state_dict(), meta=meta), tmp_path / 'a.pth')
    assert main(command) == 0
    error = capsys.readouterr().err
    assert '1 of 10 classes have other names than in the checkpoint; the first: 0 is' in error
    assert 'corrected by rebalance_classifier.py' in error and 'corrected twice' in error
    meta['dataset_meta']['classes'] = names[::-1]
    torch.save(dict(state_dict=model.state_dict(), meta=meta), tmp_path / 'a.pth')
    assert main(command) == 2
    assert 'test_dataloader.dataset: expected class' in capsys.readouterr().err

    other = {name.replace('head.fc.', 'head.layer.'): w for name, w in model.state_dict().items()}
    torch.save(dict(state_dict=other), tmp_path / 'other.pth')
    (tmp_path / 'broken.pth').write_bytes(b'no checkpoint')
    for name, message in (
        ('other.pth', 'which has none for head.fc.weight and 1 others'),
        ('broken.pth', 'expected a checkpoint that loads safely'),
    ):
        assert main([str(config), str(tmp_path / name), '--force']) == 2
        assert message in capsys.readouterr().err
