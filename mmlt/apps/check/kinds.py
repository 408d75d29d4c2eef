"""What can be wrong with an image: every kind of finding, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ['KINDS', 'Finding', 'Kind']


@dataclass(frozen=True)
class Kind:
    """A kind of finding.

    Args:
        title: what the report says.
        advice: what to do.
        fault: whether it stops a training, or lets it learn from damaged images.
    """

    title: str
    advice: str
    fault: bool = True


@dataclass(frozen=True)
class Finding:
    """One thing that was found; ``kind`` is a key of ``KINDS``."""

    kind: str
    detail: str = ''


# In the order of the report.
KINDS: dict[str, Kind] = {
    'data_set': Kind('Data sets that cannot be read', 'mend the list or the entry of the config'),
    'missing': Kind('Missing files', 'mend the list, data_root or data_prefix, or bring the files'),
    'unreadable': Kind('Files that cannot be opened', 'look at their permissions and at the disk'),
    'not_a_file': Kind(
        'No regular files', 'take them out of the list: a loader waits for ever for a pipe'
    ),
    'empty': Kind('Files of zero bytes', 'copy or download them again'),
    'not_an_image': Kind('Files that are no images', 'download them again, or take them out'),
    'truncated': Kind('Truncated or damaged images', 'copy or download them again'),
    'too_large': Kind(
        'Decompression bombs', 'scale them down, or raise --max-pixels if they have to be so large'
    ),
    'decoder': Kind(
        "Images that the config's decoder refuses",
        'save them as JPEG or PNG, or change imdecode_backend of LoadImageFromFile',
    ),
    'hangs': Kind('Files that cannot be read in time', 'look at the disk, or raise --timeout'),
    'crashes': Kind('Files that end the process that reads them', 'take them out of the list'),
    'log': Kind('What the data sets warn of', 'read the lines', fault=False),
    'two_labels': Kind('Files that are listed with two labels', 'decide on one', fault=False),
    'same_other_label': Kind(
        'Images that are twice in training, with different labels', 'decide on one', fault=False
    ),
    'in_training_and_test': Kind(
        'Images that are in training and in evaluation',
        'take them out of training, or figures will be too good',
        fault=False,
    ),
    'alike_other_label': Kind(
        'Images of training that look alike and have different labels', 'look at both', fault=False
    ),
    'alike_in_training_and_test': Kind(
        'Images of evaluation that look like one of training', 'look at both', fault=False
    ),
    'listed_twice': Kind('Files that are listed twice', 'list each once', fault=False),
    'other_format': Kind(
        "Images that only the config's decoder reads, not pillow",
        'save them as JPEG or PNG if other programs have to read them',
        fault=False,
    ),
    'deep': Kind(
        'Images with more than 8 bits',
        'scale them to 8 bits: pillow cuts off what is brighter than 255, cv2 scales 16 bits',
        fault=False,
    ),
    'animated': Kind('Animated images', 'only the first frame is used', fault=False),
    'rotated': Kind(
        'Images that are turned by EXIF',
        'cv2 and pillow turn them in LoadImageFromFile, other programs may not: save them upright',
        fault=False,
    ),
    'palette': Kind('Images with a palette', 'decoders agree on RGB: convert them', fault=False),
    'cmyk': Kind(
        'CMYK images', 'decoders give different colours: convert them to RGB', fault=False
    ),
    'transparent': Kind(
        'Images with transparency',
        'what is transparent gets an arbitrary colour: put them on a background',
        fault=False,
    ),
    'one_pixel': Kind('Images one pixel high or wide', 'there is little to learn', fault=False),
}
