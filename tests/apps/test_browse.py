"""``mmlt browse``: what it shows is what a training gets."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from mmlt.apps.browse.colours import Colours
from mmlt.apps.browse.feed import Feed
from mmlt.apps.browse.run import confusion_of, rectifier_of
from mmlt.apps.main import main
from mmlt.weight_files import read_checkpoint
from tests.digits_runner import CONFIGS, digits_runner


def digits_feed(leaf, epoch=0, confusion=None, **options):
    cfg = Config.fromfile(CONFIGS / 'digits_lt' / f'{leaf}.py')
    cfg.merge_from_dict(options)
    return Feed(cfg, epoch, confusion)


# MMPretrain's Mixup draws from the generators of the process, those of mmlt from their own.
SWITCHED = dict(
    action_epoch=2,
    train_pipeline=[
        dict(type='RandomCrop', crop_size=32, padding=4),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackInputs'),
    ],
    batch_augments=dict(
        augments=[dict(type='Mixup', alpha=1.0), dict(type='CutMix', alpha=1.0)], probs=[0.5, 0.5]
    ),
)
SWITCHES = {
    'custom_hooks': [dict(type='SwitchRecipeHook', schedule=[SWITCHED])],
    'model.train_cfg': dict(augments=dict(type='ResizeMix', alpha=1.0)),
}


ON_DEVICE = {
    'data_preprocessor.type': 'DeviceImagesDataPreprocessor',
    'data_preprocessor.padding': 1,
    'data_preprocessor.num_views': 2,
    'data_preprocessor.auto_augment_fill': 128,
    'train_dataloader.dataset.dataset.pipeline': [dict(type='PackIndex')],
}


@pytest.mark.parametrize(
    ('leaf', 'epoch', 'options'),
    [
        ('cpmix', 1, {}),
        pytest.param('cpmix', 0, {}, marks=pytest.mark.slow),
        ('ce', 1, SWITCHES),
        pytest.param('remix', 0, {}, marks=pytest.mark.slow),
        pytest.param('concutmix_car', 0, {}, marks=pytest.mark.slow),
        pytest.param('concutmix_car', 0, ON_DEVICE, marks=pytest.mark.slow),
    ],
)
def test_batches_are_those_of_a_run(tmp_path, leaf, epoch, options):
    no_validation = dict(val_dataloader=None, val_cfg=None, val_evaluator=None)
    runner = digits_runner(tmp_path, f'resnet8_{leaf}', epoch + 1, **no_validation, **options)
    seen = []

    def keep(module, args, output):
        views = output['inputs'] if isinstance(output['inputs'], list) else [output['inputs']]
        scores = [s.gt_score for s in output['data_samples'] if 'gt_score' in s]
        seen.append(([view.clone() for view in views], torch.stack(scores) if scores else None))

    runner.model.data_preprocessor.register_forward_hook(keep)
    runner.train()
    confusion = confusion_of(read_checkpoint(tmp_path / f'epoch_{epoch}.pth')) if epoch else None
    feed = digits_feed(f'resnet8_{leaf}', epoch, confusion, **options)
    fed = list(feed.fed())
    of_epoch = seen[epoch * len(feed) :]
    assert len(of_epoch) == len(feed) == len(fed)
    assert any(mixed for _, _, mixed in fed)
    colours = Colours.of(feed.preprocessor, feed.loader.dataset)
    for index, ((views, scores), (summed, _, mixed)) in enumerate(zip(of_epoch, fed, strict=True)):
        batch = feed.batch(index)
        for shown, given in zip(batch.views, views, strict=True):
            assert np.array_equal(shown, colours.images(given))
        is_mixed = scores is not None and bool((scores.amax(dim=1) < 1).any())
        assert batch.mixed == mixed == is_mixed
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


def test_rectified_labels_are_those_that_the_head_trains_with():
    feed = digits_feed('resnet8_concutmix', **{'train_dataloader.batch_sampler.prob': 1.0})
    cfg = Config.fromfile(CONFIGS / 'digits_lt' / 'resnet8_concutmix.py')
    cfg.model.head.label_start_epoch = 3
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).train()
    checkpoint = dict(state_dict={name: part.clone() for name, part in model.state_dict().items()})
    assert rectifier_of(cfg, checkpoint, feed.counts, epoch=2) is None
    rectify, given, used = rectifier_of(cfg, checkpoint, feed.counts, epoch=3), [], []

    def keep(views, scores):
        given.extend((views, scores))
        return rectify(views, scores)

    batch = feed.batch(0, keep)
    for part in model.modules():
        if hasattr(part, 'set_class_counts'):
            part.set_class_counts(feed.counts)
        if hasattr(part, 'set_progress'):
            part.set_progress(epoch=3, max_epochs=4, iteration=15, seed=0)
    model.head.rectifier.register_forward_hook(lambda module, args, output: used.append(output[0]))
    samples = [
        DataSample(metainfo=dict(mixed=True)).set_gt_label(int(label)).set_gt_score(score)
        for label, score in zip(batch.labels, given[1], strict=True)
    ]
    model.loss(list(given[0]), samples)
    assert np.allclose(batch.rectified, used[0].detach().numpy(), atol=1e-6)
    assert np.abs(batch.rectified - batch.scores).max() > 1e-4
    del checkpoint['state_dict']['head.fc.weight']
    with pytest.raises(ValueError, match='got none for head'):
        rectifier_of(cfg, checkpoint, feed.counts, epoch=3)


def test_an_endless_sampler_goes_on_in_a_later_epoch():
    sampler = dict(type='InfiniteSampler', _delete_=True)
    feeds = [digits_feed('resnet8_ce', n, **{'train_dataloader.sampler': sampler}) for n in (0, 1)]
    drawn = [index for feed in feeds for batch in feed.plan for index in batch]
    images = len(feeds[0].labels)
    for n in (0, 1):
        assert sorted(drawn[n * images : (n + 1) * images]) == list(range(images))


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
