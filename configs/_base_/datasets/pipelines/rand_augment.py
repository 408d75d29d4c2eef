# RandAugment of BCL and ConCutMix: two operations at level 10 of 10, spread 0.5. Not MMPretrain's
# `timm_increasing`, whose posterising and solarising at this level leave black or inverted images.
# As in timm, an operation interpolates bilinearly or bicubically, and posterising leaves 3 or 4
# bits, each half of the time: hence every operation stands here twice.
rand_augment = dict(
    type='RandAugment',
    num_policies=2,
    total_level=10,
    magnitude_level=10,
    magnitude_std=0.5,
    policies=[
        operation
        for interpolation, bits in (('bilinear', 3), ('bicubic', 4))
        for operation in (
            dict(type='AutoContrast'),
            dict(type='Equalize'),
            dict(type='Invert'),
            dict(type='Rotate', magnitude_range=(0, 30), interpolation=interpolation),
            dict(type='Posterize', bits=bits),
            dict(type='Solarize', magnitude_range=(0, 256)),
            dict(type='SolarizeAdd', magnitude_range=(0, 110)),
            dict(type='ColorTransform', magnitude_range=(-0.9, 0.9), random_negative_prob=0.0),
            dict(type='Contrast', magnitude_range=(-0.9, 0.9), random_negative_prob=0.0),
            dict(type='Brightness', magnitude_range=(-0.9, 0.9), random_negative_prob=0.0),
            dict(type='Sharpness', magnitude_range=(-0.9, 0.9), random_negative_prob=0.0),
            *(
                dict(
                    type=type_,
                    magnitude_range=(0, limit),
                    direction=direction,
                    interpolation=interpolation,
                )
                for type_, limit in (('Shear', 0.3), ('Translate', 0.45))
                for direction in ('horizontal', 'vertical')
            ),
        )
    ],
    # BGR
    hparams=dict(pad_val=[104, 116, 124]),
)
