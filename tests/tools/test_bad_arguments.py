"""A file that is missing or of the wrong kind: one plain line, before any work, for every tool."""

from __future__ import annotations

import re
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from tests.tools.load_tool import REPOSITORY, TOOLS, load_tool

CONFIG = str(REPOSITORY / 'configs' / 'digits_lt' / 'resnet8_ce.py')
SHOTS, RATIO = 'analysis_tools/confusion_by_shot.py', 'analysis_tools/worst_class_ratio.py'
REBALANCE = 'model_converters/rebalance_classifier.py'
PLAIN = 'model_converters/to_plain_classifier.py'
METHOD = ['--method', 'tau_norm']


@pytest.fixture(scope='module')
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('files')
    (root / 'empty').mkdir()
    (root / 'nothing.pth').touch()
    (root / 'text.pth').write_text('not a checkpoint')
    (root / 'text.csv').write_text('a,b\n1,2\n')
    Image.new('RGB', (4, 4)).save(root / 'image.jpg')
    (root / 'image.pth').write_bytes((root / 'image.jpg').read_bytes())
    (root / 'image.csv').write_bytes((root / 'image.jpg').read_bytes())
    with zipfile.ZipFile(root / 'zip.pth', 'w') as archive:
        archive.writestr('a', 'b')
    (root / 'study.py').write_text('a = 1\n')
    return root


@pytest.mark.parametrize(
    ('tool', 'arguments', 'said'),
    [
        (RATIO, ['nope.py', 'text.pth'], 'argument config: expected a config file, got no such'),
        (RATIO, ['empty', 'text.pth'], 'argument config: expected a config file, got a folder'),
        (RATIO, ['image.jpg', 'text.pth'], r'expected a config file \(.py .json'),
        (RATIO, [CONFIG, 'nope.pth'], 'argument checkpoint: expected a checkpoint, got no such'),
        (RATIO, [CONFIG, 'text.pth', '--out', 'a.csv'], 'argument --out: expected a file .json'),
        (SHOTS, ['nope.py', 'text.pth'], 'expected a config file, got no such file'),
        (SHOTS, [CONFIG, 'empty'], 'expected a checkpoint, got a folder'),
        (SHOTS, [CONFIG, 'text.pth', '--out', 'a.csv'], 'argument --out: expected a file .json'),
        ('test.py', [CONFIG, 'text.pth', '--out', 'x.json'], 'expected a file .pkl, .*metrics'),
        (
            'test.py',
            [CONFIG, 'text.pth', '--out', 'x.csv', '--out-item', 'metrics'],
            'expected a file .json/.pkl, got',
        ),
        *(
            (tool, [name, 'out.pth', *options], f'{name}')
            for tool, options in ((REBALANCE, METHOD), (PLAIN, []))
            for name in ('nope.pth', 'empty', 'nothing.pth', 'text.pth', 'image.pth', 'zip.pth')
        ),
    ],
)
def test_one_plain_line(
    tool: str,
    arguments: list[str],
    said: str,
    files: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str((TOOLS / tool).parent))
    monkeypatch.setattr(sys, 'argv', [tool])
    monkeypatch.chdir(files)
    try:
        status = load_tool(tool).main(arguments)
    except SystemExit as end:
        status = end.code
    printed, last = capsys.readouterr().err.strip().rpartition('\n')[::2]
    assert status == 2
    assert 'Traceback' not in printed and ' error: ' in f' {last}'
    assert re.search(said, last), last
    assert not (files / 'out.pth').exists()
