# RandAugment of BCL and ConCutMix: two operations at level 10 of 10, spread 0.5. Not MMPretrain's
# `timm_increasing`, whose posterising and solarising at this level leave black or inverted images.
rand_augment = dict(
    type='RandAugment',
    num_policies=2,
    total_level=10,
    magnitude_level=10,
    magnitude_std=0.5,
    policies=[
        dict(type='AutoContrast'),
        dict(type='Equalize'),
        dict(type='Invert'),
        dict(type='Rotate', magnitude_range=(0, 30)),
        dict(type='Posterize', magnitude_range=(0, 4)),
        dict(type='Solarize', magnitude_range=(0, 256)),
        dict(type='SolarizeAdd', magnitude_range=(0, 110)),
        dict(type='ColorTransform', magnitude_range=(-0.9, 0.9), random_negative_prob=0.0),
        dict(type='Contrast', magnitude_range=(-0.9, 0.9), random_negative_prob=0.0),
        dict(type='Brightness', magnitude_range=(-0.9, 0.9), random_negative_prob=0.0),
        dict(type='Sharpness', magnitude_range=(-0.9, 0.9), random_negative_prob=0.0),
        dict(type='Shear', magnitude_range=(0, 0.3), direction='horizontal'),
        dict(type='Shear', magnitude_range=(0, 0.3), direction='vertical'),
        dict(type='Translate', magnitude_range=(0, 0.45), direction='horizontal'),
        dict(type='Translate', magnitude_range=(0, 0.45), direction='vertical'),
    ],
    # BGR
    hparams=dict(pad_val=[104, 116, 124], interpolation='bicubic'),
)
