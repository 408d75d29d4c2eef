"""``mmlt features``, its files, and training on them."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.model import PretrainedInit
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from mmlt.apps.features import extract_features, extraction, frozen_config
from mmlt.apps.features.network import build_network, describe_network, hash_of_weights
from mmlt.apps.features.settings import settings_of_features
from mmlt.apps.main import main
from mmlt.datasets import DigitsLT, FeaturesLT
from mmlt.datasets.feature_files import FeatureFile, FeatureSplit, read_features, write_features
from mmlt.feature_pass import penultimate
from mmlt.models import IdentityBackbone
from tests.digits_runner import CONFIGS, digits_config
from tests.models.tuned import VIT, tuned, write_base

COUNTS = [110, 71, 46, 29, 19, 12, 8, 5, 3, 2]


@pytest.fixture(autouse=True)
def own_scope(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default scope of a config ends with its test."""
    monkeypatch.setattr(DefaultScope, '_instance_dict', DefaultScope._instance_dict.copy())


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With ``weights.pth`` of an untrained digits network and its ``features.npz``."""
    folder = tmp_path_factory.mktemp('features')
    torch.manual_seed(0)
    cfg = digits_config(folder)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        network = MODELS.build(cfg.model)
        network.init_weights()
    torch.save(dict(state_dict=network.state_dict()), folder / 'weights.pth')
    extract_features(cfg, folder / 'features.npz', folder / 'weights.pth')
    return folder


def run_frozen(folder: Path, work_dir: Path, leaf: str, **options: object) -> Runner:
    cfg = frozen_config(digits_config(work_dir, leaf), folder / 'features.npz')
    cfg.experiment_name = f'frozen_{work_dir.parent.name}_{work_dir.name}'
    cfg.merge_from_dict(dict(options))
    return Runner.from_cfg(cfg)


def test_features_are_what_the_classifier_gets(folder: Path) -> None:
    content = read_features(folder / 'features.npz')
    cfg = digits_config(folder)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        network = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor)).eval()
    network.load_state_dict(torch.load(folder / 'weights.pth')['state_dict'])
    train = DigitsLT(split='train')
    images = torch.stack(
        [torch.from_numpy(train.get_data_info(i)['img']).permute(2, 0, 1) for i in (0, 200)]
    )
    with torch.no_grad():
        expected = network.extract_feat((images - 77.9) / 96.0, stage='pre_logits')
    found = content.split('train')
    # Not cropped at random: the training images are prepared as those of the test.
    np.testing.assert_allclose(found.features[[0, 200]], expected, rtol=2e-3, atol=1e-4)
    assert found.labels.tolist() == train.get_gt_labels().tolist()
    assert (content.class_counts(), content.channels) == (COUNTS, 64)
    assert content.split('test') is content.split('val')
    assert content.network['name'] == 'CIFARResNet-8'


def test_a_stopped_pass_goes_on_and_ends_as_an_uninterrupted_one(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extraction, 'SHARD', 100)
    cfg, out = digits_config(folder), tmp_path / 'features.safetensors'
    passes = []
    forward = extraction.features_of

    def stops(*args: Any, **options: Any) -> object:
        passes.append(args)
        if len(passes) == 3:
            raise KeyboardInterrupt
        return forward(*args, **options)

    monkeypatch.setattr(extraction, 'features_of', stops)
    with pytest.raises(KeyboardInterrupt):
        extract_features(cfg, out, folder / 'weights.pth')
    assert not out.exists()
    shares: list[float] = []
    content = extract_features(cfg, out, folder / 'weights.pth', tell=shares.append)
    assert len(passes) == 3 + 10 - 2  # 4 shards of training images and 6 of test images
    assert shares == sorted(shares) and shares[-1] == 1 and 0.1 < shares[0] < 0.2  # what was there
    again = read_features(out)
    whole = read_features(folder / 'features.npz')
    for name in ('train', 'val'):
        # Batches of another size differ in the last digit.
        for one in (content, again):
            np.testing.assert_allclose(
                one.splits[name].features, whole.splits[name].features, rtol=2e-3, atol=1e-4
            )
            assert one.splits[name].labels.tolist() == whole.splits[name].labels.tolist()
    assert (again.classes, again.network, again.same) == (whole.classes, whole.network, whole.same)
    assert not out.with_name(f'{out.name}.parts').exists()


def test_parts_of_another_network_are_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg, out = digits_config(folder), tmp_path / 'features.npz'
    monkeypatch.setattr(extraction, 'write_features', lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        extract_features(cfg, out, folder / 'weights.pth')
    weights = torch.load(folder / 'weights.pth')
    weights['state_dict']['backbone.conv1.weight'] *= 2
    torch.save(weights, tmp_path / 'other.pth')
    with pytest.raises(ValueError, match=r'parts of the same network .* got others; --force'):
        extract_features(cfg, out, tmp_path / 'other.pth')


def test_a_file_of_the_same_network_and_images_is_used_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / 'features.npz'
    out.write_bytes((folder / 'features.npz').read_bytes())
    monkeypatch.setattr(extraction, 'features_of', lambda *args, **options: 1 / 0)
    cfg, weights = digits_config(folder), folder / 'weights.pth'
    for force in (False, True):
        again = extract_features(cfg, out, weights, force=force, reuse=True)
        assert again.network == read_features(folder / 'features.npz').network
    cfg.train_dataloader.dataset.lazy_init = False  # as it is
    frozen_config(cfg, out)
    cfg.train_dataloader.dataset.lazy_init = True  # other settings, the same images
    with pytest.raises(ValueError, match='lazy_init: made with'):
        frozen_config(cfg, out)
    extract_features(cfg, out, weights, reuse=True)
    frozen_config(cfg, out)
    cfg.test_dataloader.dataset.split = 'train'
    with pytest.raises(ValueError, match=r'features of the network and images .* --force repl'):
        extract_features(cfg, out, weights, reuse=True)
    with pytest.raises(ZeroDivisionError):
        extract_features(cfg, out, weights, force=True, reuse=True)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ('none', 'checkpoint: expected weights of the network, .* got none'),
        ('less', r'expected the weights .* got none for backbone\.'),
        ('broken', 'checkpoint: expected a checkpoint that loads safely, got'),
        ('missing', 'checkpoint: expected a checkpoint, got no file'),
        ('out', r'--out: expected a new file, got .* --force replaces it'),
        ('suffix', '--out: expected a file .npz or .safetensors'),
    ],
)
def test_a_mistake_is_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str, message: str
) -> None:
    import re

    weights, out = tmp_path / 'weights.pth', tmp_path / 'out.npz'
    if change == 'less':
        part = torch.load(folder / 'weights.pth')['state_dict']
        torch.save({k: v for k, v in part.items() if 'conv1' not in k}, weights)
    elif change == 'broken':
        weights.write_bytes(b'weights')
    elif change in ('out', 'suffix'):
        weights = folder / 'weights.pth'
        out = folder / 'features.npz' if change == 'out' else tmp_path / 'features.pkl'
    config = str(CONFIGS / 'digits_lt' / 'resnet8_ce.py')
    given = [] if change == 'none' else [str(weights)]
    assert main(['features', config, *given, '--out', str(out)]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert re.match(f'mmlt features: error: .*{message}', said), said


def test_files_that_are_none_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='expected a file that mmlt features wrote, got no file'):
        read_features(tmp_path / 'features.npz')
    whole = (folder / 'features.npz').read_bytes()
    for content in (b'', b'features', whole[:1000], whole[: len(whole) // 2]):
        (tmp_path / 'features.npz').write_bytes(content)
        with pytest.raises(ValueError, match=r'^features.npz: expected a file that mmlt features'):
            read_features(tmp_path / 'features.npz')
    np.savez(tmp_path / 'other.npz', meta=np.array(json.dumps(dict(kind='predictions'))))
    with pytest.raises(ValueError, match='of another kind'):
        read_features(tmp_path / 'other.npz')


def test_a_sample_is_a_picture_of_one_pixel(folder: Path) -> None:
    content = read_features(folder / 'features.npz')
    data = FeaturesLT(str(folder / 'features.npz'), imbalance_ratio=2, max_count=4)
    assert data.class_counts == [4, 3, 3, 3, 2, 2, 2, 2, 2, 2]
    rows = content.split('train').features
    for index in (0, 5, len(data) - 1):
        sample = data[index]
        label = data.get_cat_ids(index)[0]
        assert sample['data_samples'].gt_label.tolist() == [label]
        assert sample['inputs'].shape == (64, 1, 1)
        same = (rows == sample['inputs'].flatten().numpy()).all(axis=1)
        assert label in content.split('train').labels[same]
    few = data.get_subset([5, 0])
    assert torch.equal(few[0]['inputs'], data[5]['inputs'])
    assert few._features is data._features


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(split='test2'), 'split: expected'),
        (dict(network='ResNet-50 (12345678)'), r'network: expected features of ResNet-50 \(1234'),
        (dict(pipeline=[dict(type='PackInputs')]), 'pipeline: expected none'),
        (dict(file='nowhere.npz'), 'features: expected a file'),
    ],
)
def test_the_data_set_refuses_what_does_not_fit(folder: Path, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FeaturesLT(**{'file': str(folder / 'features.npz'), **options})


def test_the_backbone_refuses_features_of_another_length() -> None:
    backbone = IdentityBackbone(channels=3)
    assert torch.equal(backbone(torch.ones(2, 3, 1, 1))[0], torch.ones(2, 3))
    with pytest.raises(ValueError, match='inputs: expected 3 features per image, got 4'):
        backbone(torch.ones(2, 4, 1, 1))


@pytest.mark.parametrize('leaf', ['resnet8_cpmix', 'resnet8_ldam_drw'])
def test_a_method_runs_in_its_frozen_form(folder: Path, tmp_path: Path, leaf: str) -> None:
    runner = run_frozen(folder, tmp_path / 'run', leaf, **{'train_cfg.max_epochs': 3})
    runner.train()
    for metric in ('top1', 'few_shot'):
        assert 0 <= runner.message_hub.get_scalar(f'val/long_tail/{metric}').current() <= 100
    weights = torch.load(tmp_path / 'run' / 'epoch_3.pth', weights_only=False)
    assert all(name.startswith('head.') for name in weights['state_dict'])


def test_frozen_configs_keep_the_method_and_move_its_epochs(folder: Path, tmp_path: Path) -> None:
    cfg = digits_config(tmp_path, 'resnet8_ldam_drw', max_epochs=80)
    frozen = frozen_config(cfg, folder / 'features.npz')
    assert frozen.model.head.loss == cfg.model.head.loss
    assert frozen.default_hooks.reweighting.start_epoch == 16  # of 40, as 32 of 80
    pairs = frozen_config(digits_config(tmp_path, 'resnet8_cpmix'), folder / 'features.npz')
    assert pairs.train_dataloader.dataset.dataset.type == 'FeaturesLT'
    assert pairs.data_preprocessor == dict(type='PairedDataPreprocessor', num_classes=10)
    assert cfg.model.backbone.type == 'CIFARResNet'
    assert pairs.train_dataloader.batch_size == 32  # of 305 images: batches that are not mixed


@pytest.mark.parametrize(
    ('leaf', 'options', 'message'),
    [
        ('resnet8_concutmix', {}, 'model.type: expected ImageClassifier, got MultiViewClassifier'),
        ('resnet8_cmo', {}, 'got CMOBatchAugment, which cuts boxes out of images'),
        ('resnet8_ce', {'model.backbone.depth': 20}, 'expected those of CIFARResNet-20'),
        ('resnet8_ce', {'model.head.num_classes': 12}, 'expected 12 classes, .* got 10'),
        (
            'resnet8_ce',
            {'data_preprocessor.batch_augments': dict(augments=[dict(type='CutMix', alpha=1)])},
            'data_preprocessor.batch_augments.augments: .* got CutMix',
        ),
        (
            'resnet8_ce',
            {'train_dataloader.dataset.imbalance_ratio': 2},
            'others in .*: train_dataloader.dataset.imbalance_ratio: made with 50, now 2',
        ),
        (
            'resnet8_ce',
            {'train_dataloader.dataset.metainfo': dict(classes=list('abcdefghij'))},
            'others in .*: train_dataloader.dataset.metainfo: made with None',
        ),
        ('resnet8_ce', {'data_preprocessor.std': [1.0]}, 'others in .*: data_preprocessor.std: '),
        ('resnet8_ce', {'model.backbone.base_channels': 8}, 'others in .*: backbone.base_channels'),
    ],
)
def test_what_features_cannot_do_is_refused(
    folder: Path, tmp_path: Path, leaf: str, options: dict, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        frozen_config(digits_config(tmp_path, leaf, **options), folder / 'features.npz')


def test_the_frozen_form_keeps_heads_mixing_and_all_epochs(folder: Path, tmp_path: Path) -> None:
    cfg = digits_config(tmp_path, max_epochs=80)
    cfg.custom_hooks = [dict(type='EMAHook', begin_epoch=60)]
    cfg.train_dataloader.dataset = ConfigDict(
        type='RepeatDataset', times=3, dataset=cfg.train_dataloader.dataset
    )
    mixup = dict(augments=[dict(type='Mixup', alpha=0.8)])
    cfg.data_preprocessor = ConfigDict(
        cfg.data_preprocessor, type='DeviceImagesDataPreprocessor', batch_augments=mixup
    )
    heads = [
        dict(type='StackedLinearClsHead', num_classes=10, in_channels=9, mid_channels=[7]),
        dict(type='VisionTransformerClsHead', num_classes=10, in_channels=9),
        dict(type='DeiTClsHead', num_classes=10, in_channels=9),
    ]
    for head in heads:
        cfg.model.head = ConfigDict(head)
        frozen = frozen_config(cfg, folder / 'features.npz')
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            built = MODELS.build(frozen.model.head)
        assert (built.num_classes, built.in_channels) == (10, 64)
        named = 'LinearClsHead' if head['type'] == 'DeiTClsHead' else head['type']
        assert type(built).__name__ == named
    assert frozen.custom_hooks[0].begin_epoch == 30
    assert frozen.data_preprocessor == dict(
        type='PairedDataPreprocessor', num_classes=10, batch_augments=mixup
    )
    assert frozen.train_dataloader.dataset.times == 3
    assert cfg.model.backbone.type == 'CIFARResNet'


@pytest.mark.parametrize('wrapper', ['RepeatDataset', 'ClassBalancedDataset'])
def test_each_image_passes_once(folder: Path, wrapper: str) -> None:
    options = dict(times=3) if wrapper == 'RepeatDataset' else dict(oversample_thr=0.5)
    cfg = digits_config(folder)
    inside = cfg.train_dataloader.dataset
    cfg.train_dataloader.dataset = ConfigDict(type=wrapper, dataset=inside, **options)
    found, _ = extraction._datasets(cfg)
    assert len(found['train']) == sum(COUNTS)


@pytest.mark.parametrize(
    ('splits', 'message'),
    [
        (('val', 'test'), 'config: expected a val_dataloader or test_dataloader'),
        ((), 'val_dataloader.dataset: expected images, got none'),
    ],
)
def test_data_that_give_no_features_are_refused(
    folder: Path, splits: tuple[str, ...], message: str
) -> None:
    cfg = digits_config(folder)
    for split in splits:
        cfg[f'{split}_dataloader'] = None
    if not splits:
        cfg.val_dataloader.dataset = ConfigDict(type='CustomDataset', ann_file=os.devnull)
    with pytest.raises(ValueError, match=message):
        extraction._datasets(cfg)


def listed(home: Path) -> Config:
    """A project of two images of two classes in a folder."""
    cfg = digits_config(home)
    object.__setattr__(cfg, '_filename', str(home / 'configs' / 'ce.py'))
    data = dict(
        type='LongTailListDataset',
        data_root=str(home),
        data_prefix=str(home / 'images'),
        ann_file='train.txt',
        pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')],
    )
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader'].dataset = ConfigDict(data)
    return cfg


def test_a_project_moves_with_its_features_and_new_images_are_seen(tmp_path: Path) -> None:
    digests, told = [], []
    for name, more in (('a', b''), ('b', b''), ('b', b'more')):
        home = tmp_path / name
        if not home.exists():
            (home / 'images').mkdir(parents=True)
            (home / 'train.txt').write_text('0.png 0\n1.png 1\n')
        for image in ('0.png', '1.png'):
            (home / 'images' / image).write_bytes(b'image' + more)
        found, _ = extraction._datasets(listed(home))
        paths, digest = extraction._paths_and_digest(found['train'], 2)
        assert paths[1] == str(home / 'images' / '1.png')
        digests.append(digest)
        told.append(settings_of_features(listed(home)))
    assert digests[0] == digests[1] != digests[2]
    assert told[0] == told[1]
    (home / 'train.txt').write_text('0.png 1\n1.png 1\n')
    assert settings_of_features(listed(home)) != told[0]
    in_memory = DigitsLT(split='test')
    before = extraction._paths_and_digest(in_memory, 9)
    in_memory.get_data_info(0)['img'][:] += 1
    after = extraction._paths_and_digest(in_memory, 9)
    assert before[0] == after[0] == ('',) * 9


def test_parts_of_which_nothing_is_known_are_refused(tmp_path: Path) -> None:
    (tmp_path / 'of.json').write_text('')
    with pytest.raises(ValueError, match='got others; --force begins anew'):
        extraction._Parts(tmp_path, 'a')


def vit_config(folder: Path, backbone: dict, **head: object) -> Config:
    cfg = digits_config(folder)
    cfg.model.backbone, cfg.model.neck = ConfigDict(backbone), None
    cfg.model.head = ConfigDict(dict(type='LinearClsHead', num_classes=10, in_channels=32), **head)
    return cfg


def test_a_tuned_network_is_that_of_its_file_until_a_run_is_given(tmp_path: Path) -> None:
    base = write_base(tmp_path / 'base.pth')
    plain = vit_config(tmp_path, dict(VIT, init_cfg=base))
    expected = describe_network(plain, build_network(plain, None, 'cpu'), None)
    assert expected['name'] == 'VisionTransformer' and expected['config_weights']
    for tune in ('lora', 'adapter'):
        cfg = vit_config(tmp_path, tuned(base, tune))
        assert describe_network(cfg, build_network(cfg, None, 'cpu'), None) == expected
        assert settings_of_features(cfg) == settings_of_features(plain)
        assert settings_of_features(cfg, given=True) != settings_of_features(plain)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        network = MODELS.build(cfg.model)
    small = tmp_path / 'small.pth'
    torch.save(dict(state_dict=network.state_dict()), small)
    given = build_network(cfg, small, 'cpu').backbone.state_dict()
    assert all(torch.equal(given[k], v) for k, v in network.backbone.state_dict().items())
    assert (
        describe_network(cfg, build_network(cfg, small, 'cpu'), small)['name'] == expected['name']
    )
    other = vit_config(tmp_path, tuned(base, 'lora'))
    with pytest.raises(ValueError, match=r'small.pth: expected the weights of the network .* got'):
        build_network(other, small, 'cpu')


def test_weights_are_found_as_training_finds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('HOME', str(tmp_path))
    base = write_base(tmp_path / 'base.pth', img_size=12)  # positions of 6 x 6 patches, not 4 x 4
    init = dict(base, type=PretrainedInit, checkpoint='~/base.pth')
    for cfg in (
        vit_config(tmp_path, dict(VIT, init_cfg=init)),
        digits_config(tmp_path, load_from='~/base.pth'),
    ):
        assert hash_of_weights(cfg)
    cfg = vit_config(tmp_path, dict(VIT, init_cfg=init))
    built = build_network(cfg, None, 'cpu').backbone
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        trained = MODELS.build(dict(VIT, init_cfg=dict(init, type='Pretrained')))
        trained.init_weights()
    assert torch.equal(built.pos_embed, trained.pos_embed)


def test_weights_of_a_deeper_network_or_without_those_of_the_neck_are_refused(
    folder: Path, tmp_path: Path
) -> None:
    weights = torch.load(folder / 'weights.pth')['state_dict']
    weights['backbone.stages.0.1.conv1.weight'] = torch.zeros(1)
    torch.save(weights, tmp_path / 'deeper.pth')
    with pytest.raises(ValueError, match=r'got also some for backbone\.stages\.0\.1'):
        build_network(digits_config(tmp_path), tmp_path / 'deeper.pth', 'cpu')
    cfg = digits_config(tmp_path)
    cfg.model.neck = dict(type='LinearNeck', in_channels=64, out_channels=8)
    cfg.model.backbone.init_cfg = dict(
        type='Pretrained', checkpoint=str(folder / 'weights.pth'), prefix='backbone.'
    )
    with pytest.raises(ValueError, match='expected weights of backbone and neck, got those of the'):
        build_network(cfg, None, 'cpu')
    cfg.model.neck = dict(type='BCLNeck', in_channels=64)  # whose weights no feature depends on
    one, two = (describe_network(cfg, build_network(cfg, None, 'cpu'), None) for _ in range(2))
    assert one == two


def test_hidden_layers_of_a_head_are_no_part_of_the_features(folder: Path, tmp_path: Path) -> None:
    images = dict(inputs=[torch.zeros(3, 8, 8, dtype=torch.uint8)], data_samples=[DataSample()])
    heads = {
        'stacked': dict(type='StackedLinearClsHead', mid_channels=[7]),
        'experts': dict(type='MultiExpertClsHead', num_experts=2),
    }
    for name, head in heads.items():
        cfg = digits_config(tmp_path)
        cfg.model.head = dict(head, num_classes=10, in_channels=64)
        network = build_network(cfg, folder / 'weights.pth', 'cpu')
        assert network.head is None
        features = penultimate(network, images)
        assert features.shape == (1, 64)
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            network.head = MODELS.build(cfg.model.head)
        # The hook for class means wants what the classifiers get, which experts share.
        classified = penultimate(network, images)
        if name == 'experts':
            assert torch.equal(classified, features)
        else:
            assert classified.shape == (1, 7)


def test_features_of_other_weights_than_those_of_the_config_are_refused(
    folder: Path, tmp_path: Path
) -> None:
    weights = tmp_path / 'weights.pth'
    weights.write_bytes((folder / 'weights.pth').read_bytes())
    cfg = digits_config(tmp_path, load_from=str(weights))
    content = read_features(folder / 'features.npz')
    named = dict(content.network, config_weights=hash_of_weights(cfg))
    write_features(tmp_path / 'f.npz', replace(content, network=named))
    frozen_config(cfg, tmp_path / 'f.npz')
    weights.write_bytes(b'others, and of another time')
    with pytest.raises(ValueError, match='expected those of the weights that the config names'):
        frozen_config(cfg, tmp_path / 'f.npz')


def test_features_that_half_precision_cannot_hold_are_refused() -> None:
    with pytest.raises(ValueError, match=r'features: expected finite numbers within 65504'):
        extraction._half(np.full((1, 2), 1e5, np.float32))


def test_both_formats_hold_the_same(tmp_path: Path) -> None:
    split = FeatureSplit(
        np.arange(6, dtype=np.float16).reshape(3, 2), np.array([0, 0, 1]), ('a b.jpg', 'ü.png', '')
    )
    network = dict(name='N', backbone='{}', sha256='0' * 64)
    content = FeatureFile(dict(train=split), ('cat', '7'), network, {})
    for suffix in ('.npz', '.safetensors'):
        path = tmp_path / f'features{suffix}'
        write_features(path, content)
        read = read_features(path)
        assert (read.classes, read.network, read.identity) == (
            ('cat', '7'),
            network,
            'N (00000000)',
        )
        assert read.splits['train'].paths == split.paths
        assert read.splits['train'].features.tolist() == split.features.tolist()
