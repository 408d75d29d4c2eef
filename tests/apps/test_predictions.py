"""Saved predictions: what goes in comes out, and a file cannot run code."""

from __future__ import annotations

import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch

from mmlt.apps.predictions import Predictions, load_predictions, save_predictions

PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]], dtype=np.float32)


def two_images(**parts):
    known = dict(
        paths=np.array(['a b/ä.png', '']),
        labels=np.array([0, 2]),
        probabilities=PROBABILITIES,
        classes=np.array(['cat', '=1+1', '猫']),
        class_counts=np.array([5, 3, 1]),
        split='test',
    )
    return Predictions(**{**known, **parts})


def dumped(**parts):
    """As MMEngine's DumpResults writes them."""
    known = [
        dict(
            num_classes=3,
            gt_label=torch.tensor([label]),
            pred_label=torch.tensor([0]),
            pred_score=torch.from_numpy(row),
            img_path=f'{label}.png',
            ori_shape=(8, 8),
            scale_factor=(np.float64(1.0), np.float32(2.0)),
            extra=OrderedDict(a=np.arange(3)),
        )
        for label, row in zip((0, 2), PROBABILITIES.copy(), strict=True)
    ]
    return [{**sample, **parts} for sample in known]


@pytest.mark.parametrize('features', [None, np.ones((2, 4), np.float32)])
@pytest.mark.parametrize('counts', [None, np.array([5, 3, 1])])
def test_what_is_saved_is_loaded(tmp_path, features, counts):
    saved = two_images(features=features, class_counts=counts)
    save_predictions(tmp_path / 'new' / 'predictions.npz', saved)
    loaded = load_predictions(tmp_path / 'new' / 'predictions.npz')
    for name in ('paths', 'labels', 'probabilities', 'classes', 'class_counts', 'features'):
        expected, found = getattr(saved, name), getattr(loaded, name)
        assert (expected is None and found is None) or np.array_equal(expected, found), name
    assert loaded.split == 'test'


def test_rows_of_probabilities_sum_to_one(tmp_path):
    values = np.exp(np.random.default_rng(0).normal(size=(4, 8142)))
    values /= values.sum(1, keepdims=True)
    missing = np.where(np.arange(4)[:, None] == 1, np.nan, values)
    for kept in (values.astype(np.float16), missing, 100 * values):
        np.savez(tmp_path / 'p.npz', labels=np.arange(4), probabilities=kept)
        if np.nanmax(kept) < 0.1:
            load_predictions(tmp_path / 'p.npz')
    with pytest.raises(ValueError, match=r'probabilities: expected rows that sum to 1, got .* 100'):
        load_predictions(tmp_path / 'p.npz')


@pytest.mark.parametrize('protocol', [2, 4, 5])
def test_predictions_of_the_test_tool_are_read(tmp_path, protocol):
    path = tmp_path / 'predictions.pkl'
    path.write_bytes(pickle.dumps(dumped(), protocol=protocol))
    for trust in (False, True):
        found = load_predictions(path, trust)
        np.testing.assert_array_equal(found.probabilities, PROBABILITIES)
        assert found.labels.tolist() == [0, 2] and found.paths.tolist() == ['0.png', '2.png']
        assert found.class_counts is None and found.classes.tolist() == ['0', '1', '2']


class Runs:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return exec, (f'open({str(self.path)!r}, "w").close()',)


class Nested(Runs):
    """Hides it in the bytes of a storage, which torch unpickles again."""

    def __reduce__(self):
        return torch.storage._load_from_bytes, (pickle.dumps(Runs(self.path)),)


@pytest.mark.parametrize('kind', [Runs, Nested])
def test_a_pickle_runs_no_code(tmp_path, kind):
    hit = tmp_path / 'hit'
    path = tmp_path / 'predictions.pkl'
    path.write_bytes(pickle.dumps(dumped(extra=kind(hit))))
    with pytest.raises(ValueError, match='cannot be read'):
        load_predictions(path)
    assert not hit.exists()


def test_an_array_of_objects_is_refused(tmp_path):
    hit = tmp_path / 'hit'
    np.savez(tmp_path / 'a.npz', labels=np.array([0]), probabilities=np.array([Runs(hit)]))
    with pytest.raises(ValueError, match='cannot be read'):
        load_predictions(tmp_path / 'a.npz')
    assert not hit.exists()


@pytest.mark.parametrize(
    'parts, message',
    [
        (dict(labels=np.array([0, 3])), 'labels: expected classes in'),
        (dict(labels=np.array([0])), r'labels: expected shape \(2,\)'),
        (dict(classes=np.array(['a'])), r'classes: expected shape \(3,\)'),
        (dict(class_counts=np.array([1, 2])), 'class counts: expected 3'),
        (dict(probabilities=np.zeros((0, 3), np.float32)), 'probabilities: expected shape'),
    ],
)
def test_parts_that_do_not_fit_are_named(parts, message):
    with pytest.raises(ValueError, match=message):
        two_images(**parts)


def test_an_array_under_the_name_of_an_archive_is_named(tmp_path):
    np.save(tmp_path / 'p.npy', np.zeros(3))
    (tmp_path / 'p.npy').rename(tmp_path / 'p.npz')
    with pytest.raises(ValueError, match=r'p\.npz: expected arrays labels .* holds one array'):
        load_predictions(tmp_path / 'p.npz')


@pytest.mark.parametrize(
    'samples, message',
    [
        (dumped(gt_label=torch.tensor([0, 1])), 'expected one label per image'),
        (dumped(pred_score=torch.tensor([3.0, -1.0, 0.0])), 'expected probabilities'),
        ([], 'got none with pred_score'),
        ({'long_tail/top1': 3.0}, 'got none with pred_score'),
    ],
)
def test_other_pickles_are_refused_in_one_line(tmp_path, samples, message):
    path = tmp_path / 'a.pkl'
    path.write_bytes(pickle.dumps(samples))
    with pytest.raises(ValueError, match=message) as error:
        load_predictions(path)
    assert str(error.value).startswith(str(path)) and '\n' not in str(error.value)


def test_files_that_are_something_else(tmp_path):
    for name, content in {'a.npz': b'no', 'b.pkl': b'', 'c.pkl': b'hello', 'd.txt': b''}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=rf'{name}: expected'):
            load_predictions(tmp_path / name)
    with pytest.raises(ValueError, match='got a folder'):
        load_predictions(tmp_path)
    with pytest.raises(ValueError, match='no such file'):
        load_predictions(tmp_path / 'none.npz')
