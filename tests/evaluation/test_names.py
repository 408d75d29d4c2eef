"""Names that others have chosen stay text in spreadsheets and pictures."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.visualization import Visualizer

from mmlt.evaluation.names import from_cell, to_cell, write_csv
from mmlt.evaluation.per_class_table import per_class_rows, write_per_class_csv
from mmlt.functional.metrics.tallies import count_predictions
from tests.tools.load_tool import REPOSITORY

FORMULAS = ['=1+1', '+1 x', '-cmd|"/C calc"!A0', '@SUM(1)', '\t=1', ' =1', 'a;=1', '\r@x', "'=1"]
HARMLESS = ['jay', "'s-Hertogenbosch", 'a=b', 'sea-lion', '', '5', 'x; y', '日本', 'a,b"c']


@pytest.mark.parametrize('name', FORMULAS)
def test_no_cell_begins_like_a_formula(name: str) -> None:
    cell = to_cell(name)
    assert cell != name and from_cell(cell) == name
    # Neither in the whole nor after what another language's settings take for the end of a cell.
    assert not any(re.match(r'\s*[=+\-@]', part) for part in re.split(r'[;\t\r\n]', cell))


@pytest.mark.parametrize('name', HARMLESS)
def test_other_names_are_not_touched(name: str) -> None:
    assert to_cell(name) == name == from_cell(name)


def test_every_name_comes_back() -> None:
    rng = np.random.default_rng(0)
    for letters in rng.choice(list("=+-@'; \t\r\na"), size=(5000, 6)):
        name = ''.join(letters)
        assert from_cell(to_cell(name)) == name, repr(name)


def test_table_of_classes_keeps_names_and_numbers(tmp_path: Path) -> None:
    names = ['=2+5', '-3', 'owl']
    tallies = count_predictions([1, 1, 2], [0, 1, 2], 3)
    rows = per_class_rows(tallies, np.array([1, -1, 0]), [5, 4, 3], names=names)
    path = tmp_path / 'table.csv'
    write_per_class_csv(path, rows)
    with path.open(newline='') as file:
        table = list(csv.DictReader(file))
    assert [row['name'] for row in table] == ["'=2+5", '-3', 'owl']
    assert [from_cell(row['name']) for row in table] == names
    assert table[2]['most_confused_name'] == "'=2+5"


def test_numbers_are_not_turned_into_text(tmp_path: Path) -> None:
    write_csv(tmp_path / 'a.csv', ['=head'], [['-5.25'], ['+x'], ['-inf']])
    assert (tmp_path / 'a.csv').read_text().split() == ["'=head", '-5.25', "'+x", "'-inf"]


def test_there_is_one_writer_of_csv_files() -> None:
    files = [path for part in ('mmlt', 'tools', 'benchmarks') for path in _python(part)]
    writers = [f.name for f in files if re.search(r'csv\.(writer|DictWriter)|to_csv', _text(f))]
    assert writers == ['names.py']


def test_pictures_of_mmpretrain_draw_names_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    matplotlib = pytest.importorskip('matplotlib')
    from cli import show_names_as_text

    def draw() -> None:
        visualizer = Visualizer(image=np.zeros((20, 20, 3), np.uint8))
        visualizer.draw_texts(r'$\nonsense$', np.array([1, 1]))
        visualizer.get_image()

    with matplotlib.rc_context():
        with pytest.raises(ValueError, match='nonsense'):
            draw()
        show_names_as_text(Config(dict(default_hooks=dict(visualization=dict(enable=True)))))
        draw()


def _python(part: str) -> list[Path]:
    return [path for path in (REPOSITORY / part).rglob('*.py') if '.mim' not in path.parts]


def _text(path: Path) -> str:
    return path.read_text(encoding='utf-8')
