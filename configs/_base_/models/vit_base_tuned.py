# ViT-B with adapters before a cosine classifier, as LIFT (Shi et al., ICML 2024) in its released
# code. The leaf sets num_classes and the width of the adapters, and may take other weights; where
# their files come from is told in docs/methods/parameter_efficient.md.
clip = dict(
    type='VisionTransformer',
    arch='base',
    img_size=224,
    patch_size=16,
    pre_norm=True,
    norm_cfg=dict(type='LN', eps=1e-5),
    layer_cfgs=dict(act_cfg=dict(type='QuickGELU')),
    init_cfg=dict(type='Pretrained', checkpoint='weights/clip_vit_base_p16.pth', prefix='visual.'),
)
in21k = dict(
    type='VisionTransformer',
    arch='base',
    img_size=224,
    patch_size=16,
    init_cfg=dict(
        type='Pretrained', checkpoint='weights/in21k_vit_base_p16.pth', prefix='backbone.'
    ),
)
dinov2 = dict(
    type='VisionTransformer',
    arch='base',
    img_size=224,
    patch_size=14,
    layer_scale_init_value=1e-5,
    init_cfg=dict(
        type='Pretrained', checkpoint='weights/dinov2_vit_base_p14.pth', prefix='backbone.'
    ),
)
# What the pixels were normalised by, RGB.
clip_pixels = dict(mean=[122.771, 116.746, 104.094], std=[68.501, 66.632, 70.323])
in21k_pixels = dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5])
dinov2_pixels = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])

model = dict(
    type='ImageClassifier',
    # The scale of the adapters is learned, and they have a norm of their own.
    backbone=dict(type='TunedBackbone', tune='adapter', scale=None, backbone=clip),
    head=dict(
        type='CosineClsHead', in_channels=768, scale=25.0, loss=dict(type='CrossEntropyLoss')
    ),
)

# tools/test.py --tta: five crops of 248 pixels, as there.
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=248, edge='short', backend='pillow'),
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(type='PlacedCrop', crop_size=224, place=place)
                for place in ('center', 'top left', 'top right', 'bottom left', 'bottom right')
            ],
            [dict(type='PackInputs')],
        ],
    ),
]
