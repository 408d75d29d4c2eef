"""Names as vectors: the maths against plain loops, the tool on a small CLIP of random weights."""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS

from mmlt.apps.text_embeddings import embed_words, read_names, read_text_tower, write_embeddings
from mmlt.datasets.feature_files import FeatureFile, FeatureSplit, write_features
from mmlt.functional.text_embeddings import to_features
from mmlt.hooks.classifier_init_hook import read_embeddings
from tests.configs.recipes import resolved
from tests.tools.load_tool import load_tool

CLASSES = ('snow_owl', 'cat', 'dog')
ARCH = dict(hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2)
LETTERS = 'abcdefghijklmnopqrstuvwxyz.,'


def encode(texts: Any) -> torch.Tensor:
    """Another vector for every text, of any length."""
    return torch.tensor([[len(t), sum(map(ord, t)) % 97, t.count('o') - 2.0] for t in texts])


def test_vectors_are_means_over_templates_of_unit_vectors() -> None:
    templates = ['a photo of a {}.', '{} {{', 'one {}, drawn']
    found = embed_words(CLASSES, templates, encode)
    for row, name in zip(found.tolist(), CLASSES, strict=True):
        total = [0.0, 0.0, 0.0]
        for template in templates:
            text = template.replace('{}', name.replace('_', ' '))
            vector = encode([text])[0].tolist()
            length = math.sqrt(sum(x * x for x in vector))
            total = [t + x / length for t, x in zip(total, vector, strict=True)]
        length = math.sqrt(sum(x * x for x in total))
        assert row == pytest.approx([x / length for x in total], abs=1e-6)
    order = [2, 0, 1]
    torch.testing.assert_close(
        embed_words([CLASSES[k] for k in order], templates, encode), found[order]
    )


def test_vectors_in_the_space_of_the_features_score_as_those_of_the_joint_space() -> None:
    torch.manual_seed(0)
    texts, projection, features = torch.randn(3, 4), torch.randn(4, 6), torch.randn(5, 6)
    rows = to_features(texts, projection)
    for n in range(5):
        for k in range(3):
            back = [sum(projection[e, d] * texts[k, e] for e in range(4)) for d in range(6)]
            length = math.sqrt(sum(x * x for x in back))
            joint = sum(
                texts[k, e] * sum(projection[e, d] * features[n, d] for d in range(6))
                for e in range(4)
            )
            assert float(rows[k] @ features[n]) * length == pytest.approx(float(joint), abs=1e-4)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(3))


@pytest.mark.parametrize('template', ['a photo', '{} and {}', ''])
def test_templates_without_one_place_for_the_words_are_refused(template: str) -> None:
    with pytest.raises(ValueError, match=r'template: expected a text with one \{\}, got'):
        embed_words(CLASSES, ['{}', template], encode)


def test_names_are_lines(tmp_path: Path) -> None:
    path = tmp_path / 'names.txt'
    path.write_bytes('\ufeffcat\r\ngreen owl \r\n\r\n'.encode())
    assert read_names(path) == ('cat', 'green owl')
    for content, message in (
        ('cat\n\ndog', r'line 2: expected the name'),
        ('', 'line 1: expected'),
    ):
        path.write_text(content)
        with pytest.raises(ValueError, match=message):
            read_names(path)


def test_the_library_is_named_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, 'transformers', None)
    with pytest.raises(
        ValueError, match=r"^clip: expected .* got none: pip install 'mmlt\[text\]'"
    ):
        read_text_tower(tmp_path)


def _vocabulary(folder: Path) -> int:
    """A tokenizer of single letters; returns the number of tokens."""
    tokens = [
        *LETTERS,
        *(f'{letter}</w>' for letter in LETTERS),
        '<|startoftext|>',
        '<|endoftext|>',
    ]
    (folder / 'vocab.json').write_text(json.dumps({t: i for i, t in enumerate(tokens)}))
    (folder / 'merges.txt').write_text('#version: 0.2\n')
    return len(tokens)


@pytest.fixture(scope='module')
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders ``both`` of a CLIP and ``text`` of its text tower alone."""
    library = pytest.importorskip('transformers', reason='mmlt[text] is not installed')
    root = tmp_path_factory.mktemp('clip')
    for name in ('both', 'text'):
        (root / name).mkdir()
        size = _vocabulary(root / name)
    ends = dict(bos_token_id=size - 2, eos_token_id=size - 1, pad_token_id=size - 1)
    text = dict(ARCH, hidden_size=16, vocab_size=size, max_position_embeddings=40, **ends)
    vision = dict(ARCH, image_size=8, patch_size=4)
    torch.manual_seed(0)
    model = library.CLIPModel(
        library.CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)
    )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(root / 'both')
    alone = library.CLIPTextModelWithProjection(library.CLIPTextConfig(**text, projection_dim=12))
    alone.text_projection.load_state_dict(model.text_projection.state_dict())
    alone.text_model.load_state_dict(model.text_model.state_dict())
    alone.save_pretrained(root / 'text')
    return root


def _as_mmpretrain(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The image tower under the names of MMPretrain's ``VisionTransformer``."""
    old = {
        name.removeprefix('vision_model.'): value
        for name, value in state.items()
        if name.startswith('vision_model.')
    }
    embeddings = 'embeddings.'
    new = {
        'patch_embed.projection.weight': old[f'{embeddings}patch_embedding.weight'],
        'cls_token': old[f'{embeddings}class_embedding'].view(1, 1, -1),
        'pos_embed': old[f'{embeddings}position_embedding.weight'][None],
    }
    for kind in ('weight', 'bias'):
        new[f'pre_norm.{kind}'] = old[f'pre_layrnorm.{kind}']
        new[f'ln1.{kind}'] = old[f'post_layernorm.{kind}']
        for i in range(ARCH['num_hidden_layers']):
            there, here = f'encoder.layers.{i}', f'layers.{i}'
            parts = [old[f'{there}.self_attn.{part}_proj.{kind}'] for part in 'qkv']
            new[f'{here}.attn.qkv.{kind}'] = torch.cat(parts)
            new[f'{here}.attn.proj.{kind}'] = old[f'{there}.self_attn.out_proj.{kind}']
            new[f'{here}.ln1.{kind}'] = old[f'{there}.layer_norm1.{kind}']
            new[f'{here}.ln2.{kind}'] = old[f'{there}.layer_norm2.{kind}']
            new[f'{here}.ffn.layers.0.0.{kind}'] = old[f'{there}.mlp.fc1.{kind}']
            new[f'{here}.ffn.layers.1.{kind}'] = old[f'{there}.mlp.fc2.{kind}']
    return new


@torch.no_grad()
def test_the_network_of_the_recipes_scores_with_them_as_clip_does(clip: Path) -> None:
    """What the ViT of the recipes for CLIP ends with, times the vectors, is CLIP's own score."""
    import transformers

    model = transformers.CLIPModel.from_pretrained(clip / 'both').eval()
    network = dict(resolved('imagenet_lt/vit_base_clip_logit_adjustment')['clip'])
    del network['init_cfg']
    arch = dict(embed_dims=24, num_layers=2, num_heads=2, feedforward_channels=32)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        vit = MODELS.build(dict(network, arch=arch, img_size=8, patch_size=4))
    vit.eval()
    vit.load_state_dict(_as_mmpretrain(model.state_dict()))
    images = torch.randn(5, 3, 8, 8)
    features = vit(images)[-1]
    tower = read_text_tower(clip / 'both')
    joint = embed_words(CLASSES, ['a photo of a {}.'], tower.encode)
    tokens = transformers.AutoTokenizer.from_pretrained(clip / 'both')(
        [f'a photo of a {name}.' for name in ('snow owl', 'cat', 'dog')],
        padding=True,
        return_tensors='pt',
    )
    expected = model(pixel_values=images, **tokens).logits_per_image / model.logit_scale.exp()
    lengths = (joint @ tower.projection).norm(dim=1)
    of_images = (features @ tower.projection.T).norm(dim=1, keepdim=True)
    found = features @ to_features(joint, tower.projection).T * lengths / of_images
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert expected.std() > 1e-3  # images differ by more than the tolerance
    alone = embed_words(CLASSES, ['a photo of a {}.'], read_text_tower(clip / 'text').encode)
    torch.testing.assert_close(alone, joint)


def _config(folder: Path, classes: tuple[str, ...] = CLASSES) -> Path:
    """A config whose training data name their classes."""
    rows, labels = np.zeros((3, 4), np.float16), np.arange(3)
    network = dict(name='N', backbone='{}', sha256='0' * 64)
    split = FeatureSplit(rows, labels, ('',) * 3)
    write_features(folder / 'f.npz', FeatureFile(dict(train=split), classes, network))
    path = folder / 'config.py'
    path.write_text(
        "custom_imports = dict(imports=['mmlt'])\n"
        "data = dict(type='FeaturesLT', "
        f'file={str(folder / "f.npz")!r})\ntrain_dataloader = dict(dataset=data)\n'
    )
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What the tool prints; one plain line for a mistake."""
    tool = load_tool('model_converters/text_embeddings.py')
    capsys.readouterr()
    try:
        tool.main([str(one) for one in arguments])
    except SystemExit as end:
        assert end.code == 2
        return capsys.readouterr().err.strip().splitlines()[-1]
    return capsys.readouterr().out


def test_the_tool_writes_what_the_hook_reads(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, out = _config(tmp_path), tmp_path / 'new' / 'names.npz'
    said = run(capsys, config, clip / 'both', '--out', out)
    assert said.count('\n') == 1
    assert '3 classes, vectors of 24 numbers for the features before the projection' in said
    tower = read_text_tower(clip / 'both')
    joint = embed_words(CLASSES, ['a photo of a {}.'], tower.encode)
    torch.testing.assert_close(read_embeddings(out, CLASSES), to_features(joint, tower.projection))
    assert 'expected a new file' in run(capsys, config, clip / 'both', '--out', out)

    words = tmp_path / 'words.txt'
    words.write_text('white bird\ncat\nhound\n')
    more = ['--words', words, '--template', '{}', 'one {}', '--joint', '--force']
    assert '12 numbers for the joint' in run(capsys, config, clip / 'text', '--out', out, *more)
    expected = embed_words(['white bird', 'cat', 'hound'], ['{}', 'one {}'], tower.encode)
    torch.testing.assert_close(read_embeddings(out, CLASSES), expected)
    # A list of names in place of the config.
    run(capsys, words, clip / 'both', '--out', out, '--force')
    with pytest.raises(ValueError, match="expected class 'snow_owl' at index 0"):
        read_embeddings(out, CLASSES)


def test_what_the_tool_cannot_use_is_one_line(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, out = _config(tmp_path), tmp_path / 'names.npz'
    other, lost = tmp_path / 'other', tmp_path / 'lost'
    for folder in (other, lost):
        folder.mkdir()
        for file in (clip / 'both').iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
    (other / 'config.json').write_text('{"model_type": "bert"}')
    from safetensors.torch import load_file, save_file

    state = load_file(lost / 'model.safetensors')
    del state['visual_projection.weight']
    save_file(state, lost / 'model.safetensors', metadata=dict(format='pt'))
    (tmp_path / 'two.txt').write_text('a\nb\n')
    (tmp_path / 'numbers.txt').write_text('0\n1\n')
    long = ['--template', 'a photograph of one {} at the zoo of a big town']
    both = clip / 'both'
    for arguments, message in (
        ([config, both, '--out', 'names.pth'], '--out: expected a file .npz, got names.pth'),
        ([config, clip / 'text'], 'expected both towers, .* --joint does without'),
        ([config, tmp_path], 'expected the folder of a CLIP with config.json, got'),
        ([config, other], "expected model_type clip or clip_text_model, got 'bert'"),
        ([config, lost], 'expected all weights of clip, got none for visual_projection.weight'),
        ([config, both, '--words', tmp_path / 'two.txt'], '--words: expected 3 lines, .* got 2'),
        ([tmp_path / 'numbers.txt', both], "--words: expected words .* '0' and so on, got none"),
        ([config, both, *long], "at most 40 tokens, .* got 4[0-9] for 'a photograph of one snow"),
        ([tmp_path / 'none.txt', both], 'names: expected a text file .* got no file'),
        ([tmp_path / 'none.py', both], 'config: expected a config file, got no such file'),
    ):
        given = arguments if '--out' in arguments else [*arguments, '--out', out]
        line = run(capsys, *given)
        assert 'error: ' in line and re.search(message, line), line
    assert not out.exists()


def test_written_names_keep_their_letters(tmp_path: Path) -> None:
    write_embeddings(tmp_path / 'n.npz', torch.eye(2), ['kočka', 'a, b'])
    assert torch.equal(read_embeddings(tmp_path / 'n.npz', ('kočka', 'a, b')), torch.eye(2))
