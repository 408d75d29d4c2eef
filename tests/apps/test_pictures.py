"""The one style of pictures: names as they are, numbers on axes, nothing left behind."""

import warnings

import matplotlib
import numpy as np
import pytest
from PIL import Image

from mmlt.apps.pictures import COLOURS, count_axis, label_dots, name_ticks, picture, short

HARMFUL = ['$x^2$', r'a_$\frac{$', '$5 or $6', '100 %', r'back\slash', '猫', 'กระ', '{brace}', '']


def test_names_are_drawn_as_they_are(tmp_path):
    with warnings.catch_warnings(), picture(tmp_path / 'names.png', 4, 4) as figure:
        warnings.simplefilter('error')
        axes = figure.subplots()
        axes.imshow(np.eye(len(HARMFUL)))
        name_ticks(axes, 'x', HARMFUL)
        name_ticks(axes, 'y', HARMFUL)
        labels = [label for axis in (axes.xaxis, axes.yaxis) for label in axis.get_ticklabels()]
        label_dots(axes, [0, 0, 1], [0, 0, 1], HARMFUL[:3])
        assert [label.get_text() for label in labels] == 2 * HARMFUL
        assert not any(text.get_parse_math() for text in [*labels, *axes.texts])
    assert Image.open(tmp_path / 'names.png').size == (480, 480)


def test_the_style_ends_with_the_picture_and_a_failed_one_leaves_no_file(tmp_path):
    before = dict(matplotlib.rcParams)
    with pytest.raises(RuntimeError), picture(tmp_path / 'new' / 'broken.png', 1, 1):
        raise RuntimeError
    assert dict(matplotlib.rcParams) == before
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_there_is_replaced_only_by_a_whole_one(tmp_path):
    path = tmp_path / 'a.svg'
    path.write_text('old')
    with pytest.raises(RuntimeError), picture(path, 1, 1):
        raise RuntimeError
    assert path.read_text() == 'old'
    with picture(path, 1, 1):
        pass
    assert '<svg' in path.read_text()
    assert [file.name for file in tmp_path.iterdir()] == ['a.svg']


@pytest.mark.parametrize(
    ('lowest', 'highest', 'expected'),
    [(2, 110, ['2', '5', '10', '20', '50', '100']), (1, 4980, ['1', '10', '100', '1,000'])],
)
def test_counts_are_written_as_numbers(tmp_path, lowest, highest, expected):
    with picture(tmp_path / 'axis.png', 2, 2) as figure:
        axes = figure.subplots()
        count_axis(axes, 'x', lowest, highest)
        figure.draw_without_rendering()
        assert [label.get_text() for label in axes.get_xticklabels()] == expected
        assert not axes.get_xticklabels(minor=True)


def test_dots_at_one_place_get_names_at_several(tmp_path):
    with picture(tmp_path / 'dots.png', 4, 3) as figure:
        axes = figure.subplots()
        axes.set(xlim=(0, 2), ylim=(0, 2))
        label_dots(axes, [1] * 4, [1] * 4, 'abcd')
        assert len({text.xyann for text in axes.texts}) == 4


def test_a_short_name_is_one_line_of_so_many_signs():
    assert short('a\n\tb') == 'a b'
    assert len(short('x' * 99, 12)) == 12


def test_neighbouring_colours_differ_in_brightness_too():
    """So that they are told apart in print, and by people who see no red or green."""
    channels = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in COLOURS[:5]])
    brightness = channels @ [0.299, 0.587, 0.114]
    assert np.abs(np.diff(brightness)).min() > 10
