"""Classifiers that start at class means or at embeddings of the names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

import mmlt  # noqa: F401
from mmlt.datasets.feature_files import FeatureFile, FeatureSplit, write_features
from mmlt.hooks.classifier_init_hook import read_embeddings

CLASSES = ('cat', 'dog', 'owl')
LABELS = np.array([0, 0, 0, 1, 1, 2])


def runner_of(folder: Path, source: str, head: str, **options: object) -> tuple[Runner, np.ndarray]:
    features = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float16)
    split = FeatureSplit(features, LABELS, ('',) * 6)
    network = dict(name='N', backbone='{}', sha256='0' * 64)
    write_features(folder / 'f.npz', FeatureFile(dict(train=split), CLASSES, network))
    cfg = Config(
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
    return Runner.from_cfg(cfg), features.astype(np.float64)


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
