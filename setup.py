"""Packaging: the package, and inside it (``mmlt/.mim``) configs, tools and their index."""

import os
import shutil
import sys
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
# Where MMEngine looks for them when a config says `mmlt::...`.
TRAVELLERS = ('configs', 'tools', 'model-index.yml')


def version() -> str:
    scope: dict = {}
    exec((ROOT / 'mmlt' / 'version.py').read_text(encoding='utf-8'), scope)
    return scope['__version__']


def requirements(name: str) -> list:
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text(encoding='utf-8').splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith('#')]


class BuildWithConfigs(build_py):
    """Copies into the wheel: ``mmlt/.mim/configs``, ``mmlt/.mim/tools`` and the index."""

    def run(self) -> None:
        super().run()
        if getattr(self, 'editable_mode', False):
            return
        home = Path(self.build_lib) / 'mmlt' / '.mim'
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        for name in TRAVELLERS:
            if (ROOT / name).is_dir():
                ignore = shutil.ignore_patterns('__pycache__')
                shutil.copytree(ROOT / name, home / name, ignore=ignore)
            else:
                shutil.copy(ROOT / name, home / name)


def link_into_source_tree() -> None:
    """For an editable install: links in place of copies, so that edits are seen at once."""
    home = ROOT / 'mmlt' / '.mim'
    home.mkdir(exist_ok=True)
    for name in TRAVELLERS:
        link = home / name
        if not link.exists():
            os.symlink(Path('..') / '..' / name, link)


if 'editable_wheel' in sys.argv or 'develop' in sys.argv:
    link_into_source_tree()

setup(
    name='mmlt',
    version=version(),
    description='Long-tailed recognition for MMPretrain: CP-Mix, ConCutMix, CAR, samplers, '
    'data sets, metrics and baselines',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    author='The mmlt authors',
    license='Apache-2.0',
    keywords='long-tailed recognition, class imbalance, image classification, MMPretrain',
    classifiers=[
        'Development Status :: 4 - Beta',
        'Intended Audience :: Science/Research',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ],
    python_requires='>=3.10,<3.13',
    packages=find_packages(include=['mmlt', 'mmlt.*']),
    package_data={'mmlt.apps.report': ['page.html'], 'mmlt.apps.new': ['*.in']},
    install_requires=requirements('runtime'),
    extras_require={
        name: requirements(name)
        for name in (
            'openmmlab',
            'onedl',
            'tests',
            'report',
            'cleanlab',
            'export',
            'kornia',
            'docs',
            'pretrained',
            'text',
        )
    },
    entry_points={'console_scripts': ['mmlt = mmlt.apps.main:main']},
    cmdclass={'build_py': BuildWithConfigs},
    zip_safe=False,
)
