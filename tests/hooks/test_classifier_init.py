"""Classifiers that start at class means or at embeddings of the names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmpretrain.registry import MODELS
from torch import nn

import mmlt  # noqa: F401
from mmlt.datasets.feature_files import FeatureFile, FeatureSplit, write_features
from mmlt.hooks import ClassifierInitHook
from mmlt.hooks.classifier_init_hook import classifiers_of, read_embeddings
from mmlt.hooks.runner_parts import unwrap
from tests.digits_runner import digits_runner
from tests.distributed.launch import join, run_ranks

CLASSES = ('cat', 'dog', 'owl')
LABELS = np.array([0, 0, 0, 1, 1, 2])


def write(folder: Path) -> np.ndarray:
    features = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float16)
    split = FeatureSplit(features, LABELS, ('',) * 6)
    network = dict(name='N', backbone='{}', sha256='0' * 64)
    write_features(folder / 'f.npz', FeatureFile(dict(train=split), CLASSES, network))
    return features.astype(np.float64)


def config_of(folder: Path, source: str, head: str, **options: object) -> Config:
    return Config(
        dict(
            default_scope='mmpretrain',
            work_dir=str(folder / 'run'),
            experiment_name=f'init_{folder.name}',
            log_level='WARNING',
            model=dict(
                type='ImageClassifier',
                data_preprocessor=dict(type='ClsDataPreprocessor'),
                backbone=dict(type='IdentityBackbone', channels=4),
                head=dict(
                    type=head, num_classes=3, in_channels=4, loss=dict(type='CrossEntropyLoss')
                ),
            ),
            train_dataloader=dict(
                batch_size=2,
                num_workers=0,
                dataset=dict(type='FeaturesLT', file=str(folder / 'f.npz')),
                sampler=dict(type='DefaultSampler', shuffle=True),
                collate_fn=dict(type='default_collate'),
            ),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.0)),
            train_cfg=dict(by_epoch=True, max_epochs=1),
            default_hooks=dict(long_tail=dict(type='LongTailHook')),
            custom_hooks=[dict(type='ClassifierInitHook', source=source)],
            **options,
        )
    )


def runner_of(folder: Path, source: str, head: str, **options: object) -> tuple[Runner, np.ndarray]:
    features = write(folder)
    return Runner.from_cfg(config_of(folder, source, head, **options)), features


@pytest.mark.parametrize('head', ['LinearClsHead', 'CosineClsHead'])
def test_rows_point_to_the_class_means(tmp_path: Path, head: str) -> None:
    runner, features = runner_of(tmp_path, 'class_means', head)
    runner.train()
    means = np.stack([features[k == LABELS].mean(axis=0) for k in range(3)])
    expected = means / np.linalg.norm(means, axis=1, keepdims=True)
    fc = runner.model.head.fc
    np.testing.assert_allclose(fc.weight.detach().numpy(), expected, rtol=1e-5)
    assert head == 'CosineClsHead' or not fc.bias.any()
    assert runner.model.training


def test_a_resumed_run_keeps_its_classifier(tmp_path: Path) -> None:
    runner, _ = runner_of(tmp_path, 'class_means', 'LinearClsHead')
    runner.train()
    saved = torch.load(tmp_path / 'run' / 'epoch_1.pth', weights_only=False)
    saved['state_dict']['head.fc.weight'] += 1
    torch.save(saved, tmp_path / 'run' / 'epoch_1.pth')
    again, _ = runner_of(tmp_path, 'class_means', 'LinearClsHead', resume=True)
    again._train_loop['max_epochs'] = 2
    again.train()
    assert torch.equal(again.model.head.fc.weight, saved['state_dict']['head.fc.weight'])


def test_rows_are_the_embeddings_of_the_names(tmp_path: Path) -> None:
    rows = np.arange(1.0, 13).reshape(3, 4)
    np.savez(tmp_path / 'names.npz', embeddings=rows, classes=np.array(CLASSES))
    runner, _ = runner_of(tmp_path, str(tmp_path / 'names.npz'), 'CosineClsHead')
    runner.train()
    expected = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(runner.model.head.fc.weight.detach().numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ('classes', 'shape', 'message'),
    [
        (
            ['cat', 'owl', 'dog'],
            (3, 4),
            r"class 'dog' at index 1, as in the training data, which stands at 2, got 'owl'",
        ),
        (['cat', 'dog', 'emu'], (3, 4), r"expected class 'owl' at index 2, .* got 'emu'"),
        (['cat', 'dog'], (2, 4), 'expected 3 classes, got 2'),
        (['cat', 'dog', 'owl'], (2, 4), r'for K = 3 classes, got \(2, 4\)'),
    ],
)
def test_embeddings_of_other_classes_are_refused(
    tmp_path: Path, classes: list[str], shape: tuple[int, int], message: str
) -> None:
    np.savez(tmp_path / 'names.npz', embeddings=np.ones(shape), classes=np.array(classes))
    with pytest.raises(ValueError, match=message):
        read_embeddings(tmp_path / 'names.npz', CLASSES)


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / 'names.npz'
    np.savez(path, embeddings=np.eye(3), classes=np.array(CLASSES))
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b''):
        path.write_bytes(content)
        with pytest.raises(ValueError, match='expected a file') as caught:
            read_embeddings(path, CLASSES)
        assert '\n' not in str(caught.value)
    for rows in (np.array([['x'] * 3] * 3), np.array([[None] * 3] * 3)):
        np.savez(path, embeddings=rows, classes=np.array(CLASSES))
        with pytest.raises(ValueError, match='expected a file'):
            read_embeddings(path, CLASSES)


@pytest.mark.parametrize(
    ('head', 'names'),
    [
        (dict(type='ContrastiveClsHead', in_channels=6, embedding_channels=6), ['fc']),
        (dict(type='StackedLinearClsHead', in_channels=4, mid_channels=[6, 6]), ['layers.2.fc']),
        (dict(type='VisionTransformerClsHead', in_channels=4, hidden_dim=6), ['layers.head']),
        (
            dict(type='DeiTClsHead', in_channels=4, hidden_dim=6),
            ['layers.head', 'layers.head_dist'],
        ),
        (
            dict(type='MultiExpertClsHead', in_channels=6, num_experts=2),
            ['classifiers.0', 'classifiers.1'],
        ),
        (dict(type='CosineClsHead', in_channels=6), ['fc']),
    ],
)
def test_only_the_classifiers_are_set(head: dict, names: list[str]) -> None:
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = nn.ModuleDict(dict(head=MODELS.build(dict(head, num_classes=6))))
    model.head = model['head']
    found = classifiers_of(model)
    assert found == [model.head.get_submodule(name) for name in names]


def test_classes_without_names_have_nothing_to_compare(tmp_path: Path) -> None:
    np.savez(tmp_path / 'names.npz', embeddings=np.eye(3), classes=np.array(CLASSES))
    assert torch.equal(read_embeddings(tmp_path / 'names.npz', ()), torch.eye(3))


def test_other_sizes_and_sources_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / 'names.npz', embeddings=np.ones((3, 5)), classes=np.array(CLASSES))
    runner, _ = runner_of(tmp_path, str(tmp_path / 'names.npz'), 'CosineClsHead')
    with pytest.raises(ValueError, match=r'source: expected vectors \(3, 4\), .* got \(3, 5\)'):
        runner.train()
    (tmp_path / 'names.npz').write_bytes(b'names')
    with pytest.raises(ValueError, match=r'expected a file \.npz with embeddings'):
        read_embeddings(tmp_path / 'names.npz', CLASSES)
    with pytest.raises(ValueError, match='source: expected'):
        runner_of(tmp_path, 'names.txt', 'CosineClsHead')


def _rows_on_a_rank(rank: int, world_size: int, folder: Path) -> torch.Tensor:
    cfg = config_of(folder, 'class_means', 'CosineClsHead')
    cfg.work_dir = str(folder / f'run_of_{world_size}')
    join(cfg, rank, world_size)
    runner = Runner.from_cfg(cfg)
    runner.train()
    return unwrap(runner.model).head.fc.weight.detach()


def test_two_ranks_begin_where_one_process_does(tmp_path: Path) -> None:
    write(tmp_path)
    alone = _rows_on_a_rank(0, 1, tmp_path)
    for rows in run_ranks(_rows_on_a_rank, 2, tmp_path):
        torch.testing.assert_close(rows, alone)


def _begun(runner: Runner) -> tuple[torch.Tensor, torch.Tensor]:
    """Classifier as the hook sets it, and directions of the class means, image by image."""
    runner.train_loop  # noqa: B018 (builds it)
    evaluated = runner.val_loop or runner.test_loop
    training = runner.train_dataloader.dataset
    while hasattr(training, 'dataset'):
        training = training.dataset
    model = runner.model.eval()
    ClassifierInitHook().before_train(runner)
    sums: dict[int, torch.Tensor] = {}
    for index in range(len(training)):
        info = training.get_data_info(index)
        batch = pseudo_collate([evaluated.dataloader.dataset.pipeline(info)])
        with torch.no_grad():
            images = model.data_preprocessor(batch, training=False)['inputs']
            features = model.backbone(images)[-1].mean(dim=(2, 3))[0]
        sums[info['gt_label']] = sums.get(info['gt_label'], 0) + features
    means = torch.stack([sums[k] for k in sorted(sums)])
    return model.head.fc.weight.detach(), torch.nn.functional.normalize(means, dim=1)


@pytest.mark.parametrize('leaf', ['resnet8_bcl', 'resnet8_concutmix'])
def test_means_are_of_images_as_they_are_tested(tmp_path: Path, leaf: str) -> None:
    """Not of several views, and not of partners."""
    rows, expected = _begun(digits_runner(tmp_path, leaf))
    torch.testing.assert_close(rows, expected, rtol=1e-3, atol=1e-4)


def test_without_a_validation_images_are_prepared_as_in_the_test(tmp_path: Path) -> None:
    none = dict(val_cfg=None, val_dataloader=None, val_evaluator=None)
    rows, expected = _begun(digits_runner(tmp_path / 'test', 'resnet8_bcl', **none))
    torch.testing.assert_close(rows, expected, rtol=1e-3, atol=1e-4)
    none |= dict(test_cfg=None, test_dataloader=None, test_evaluator=None)
    runner = digits_runner(tmp_path / 'none', 'resnet8_bcl', **none)
    runner.train_loop  # noqa: B018 (builds it)
    with pytest.raises(ValueError, match='expected a val_dataloader or test_dataloader'):
        ClassifierInitHook().before_train(runner)
