"""``mmlt browse``: what it shows is what a training gets."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmlt.apps.browse.colours import Colours
from mmlt.apps.browse.feed import Feed
from mmlt.apps.browse.run import confusion_of, read_checkpoint
from mmlt.apps.main import main
from tests.digits_runner import CONFIGS, digits_runner


def digits_feed(leaf, epoch=0, confusion=None, **options):
    cfg = Config.fromfile(CONFIGS / 'digits_lt' / f'{leaf}.py')
    cfg.merge_from_dict(options)
    return Feed(cfg, epoch, confusion)


@pytest.mark.parametrize(
    ('leaf', 'epoch'),
    [
        ('cpmix', 1),
        pytest.param('remix', 0, marks=pytest.mark.slow),
        pytest.param('concutmix_car', 0, marks=pytest.mark.slow),
    ],
)
def test_batches_are_those_of_a_run(tmp_path, leaf, epoch):
    no_validation = dict(val_dataloader=None, val_cfg=None, val_evaluator=None)
    runner = digits_runner(tmp_path, f'resnet8_{leaf}', epoch + 1, **no_validation)
    seen = []

    def keep(module, args, output):
        views = output['inputs'] if isinstance(output['inputs'], list) else [output['inputs']]
        scores = [s.gt_score for s in output['data_samples'] if 'gt_score' in s]
        seen.append(([view.clone() for view in views], torch.stack(scores) if scores else None))

    runner.model.data_preprocessor.register_forward_hook(keep)
    runner.train()
    confusion = confusion_of(read_checkpoint(tmp_path / f'epoch_{epoch}.pth')) if epoch else None
    feed = digits_feed(f'resnet8_{leaf}', epoch, confusion)
    fed = list(feed.fed())
    of_epoch = seen[epoch * len(feed) :]
    assert len(of_epoch) == len(feed) == len(fed)
    assert any(mixed for _, _, mixed in fed)
    colours = Colours.of(feed.preprocessor, feed.loader.dataset)
    for index, ((views, scores), (summed, _, mixed)) in enumerate(zip(of_epoch, fed, strict=True)):
        batch = feed.batch(index)
        for shown, given in zip(batch.views, views, strict=True):
            assert np.array_equal(shown, colours.images(given))
        assert batch.mixed == mixed == (scores is not None)
        if scores is not None:
            assert np.allclose(batch.scores, scores.numpy())
            assert np.allclose(summed, scores.sum(dim=0).numpy(), atol=1e-4)


@pytest.mark.parametrize(
    ('leaf', 'augment'),
    [
        ('concutmix', None),
        ('cmo', None),
        ('unimix', None),
        ('ce', dict(type='Mixup', alpha=1.0)),
        ('ce', dict(type='CutMix', alpha=1.0)),
        ('ce', dict(type='ResizeMix', alpha=1.0)),
    ],
)
def test_pixels_and_linear_labels_have_the_same_shares(leaf, augment):
    options = {} if augment is None else {'model.train_cfg': dict(augments=augment)}
    feed = digits_feed(f'resnet8_{leaf}', **options)
    index = next(index for index, (_, _, mixed) in enumerate(feed.fed()) if mixed)
    batch = feed.batch(index)
    expected = np.zeros_like(batch.scores)
    rows = np.arange(len(expected))
    np.add.at(expected, (rows, batch.labels), batch.area)
    np.add.at(expected, (rows, batch.partner_labels), 1 - batch.area)
    assert batch.mixed
    assert np.abs(batch.scores - expected).max() < 1e-3


def test_a_mixture_by_factor_is_that_of_anchor_and_partner():
    feed = digits_feed('resnet8_remix')
    batch = feed.batch(0)
    area = batch.area[:, None, None, None]
    mixture = area * np.array(batch.anchors) + (1 - area) * np.array(batch.partners)
    assert np.abs(mixture - np.array(batch.views[0])).max() <= 1


def test_without_mixing_an_epoch_feeds_the_data():
    feed = digits_feed('resnet8_ce')
    parts = list(feed.fed())
    assert sum(summed for summed, _, _ in parts).tolist() == feed.counts
    assert sum(images for _, images, _ in parts) == sum(feed.counts)
    batch = feed.batch(4)
    assert not batch.mixed
    assert len(batch.labels) == sum(feed.counts) % 64
    assert np.array_equal(batch.anchors, batch.views[0])


def test_a_balanced_sampler_feeds_classes_alike():
    fed = sum(summed for summed, _, _ in digits_feed('resnet8_class_balanced').fed())
    assert fed.max() < 2 * fed.min()


@pytest.mark.parametrize('to_rgb', [True, False])
def test_red_stays_red(tmp_path, to_rgb):
    (tmp_path / 'images' / 'red').mkdir(parents=True)
    cv2.imwrite(str(tmp_path / 'images' / 'red' / 'a.png'), np.full((8, 8, 3), (0, 0, 255)))
    pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
    dataset = dict(type='CustomDataset', data_prefix=str(tmp_path / 'images'), pipeline=pipeline)
    cfg = Config(
        dict(
            train_dataloader=dict(
                batch_size=1, dataset=dataset, sampler=dict(type='DefaultSampler', shuffle=False)
            ),
            data_preprocessor=dict(mean=[90, 100, 110], std=[50, 60, 70], to_rgb=to_rgb),
            model=dict(type='ImageClassifier'),
        )
    )
    assert Feed(cfg).batch(0).views[0][0][0, 0].tolist() == [255, 0, 0]


def test_the_command_writes_pictures_once(tmp_path, capsys):
    arguments = ['browse', str(CONFIGS / 'digits_lt' / 'resnet8_cmo.py'), '--out', str(tmp_path)]
    assert main(arguments) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[0] == 'epoch 0: 305 images in 5 batches, 4 mixed'
    assert said.err == ''
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ['batch_0000.png', 'classes.csv', 'classes.png']
    assert main(arguments) == 2
    assert '--force' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('leaf', 'options', 'message'),
    [
        ('nothing', [], 'config: expected a config file'),
        ('ce', ['--cfg-options', 'train_dataloader=None'], 'expected the training data, got none'),
        ('ce', ['--cfg-options', 'train_dataloader.dataset.type=Nowhere'], 'Nowhere'),
        ('ce', ['--cfg-options', 'train_dataloader.dataset.split=all'], 'split'),
        ('cpmix', ['--epoch', '3'], '--checkpoint: expected a checkpoint of the run'),
        ('cpmix', ['--checkpoint', 'none.pth'], '--checkpoint: expected a checkpoint, got no file'),
    ],
)
def test_mistakes_are_one_line(tmp_path, capsys, leaf, options, message):
    config = str(CONFIGS / 'digits_lt' / f'resnet8_{leaf}.py')
    assert main(['browse', config, '--out', str(tmp_path / 'out'), *options]) == 2
    said = capsys.readouterr().err
    assert said.startswith('mmlt browse: error: ')
    assert message in said
    assert said.count('\n') == 1
    assert not (tmp_path / 'out').exists()
