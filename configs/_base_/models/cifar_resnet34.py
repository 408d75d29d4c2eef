# ResNet-34 for 32 x 32 images (a 3 x 3 convolution first, no pooling), 21.3 M parameters. The leaf
# sets num_classes and the loss.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNet_CIFAR', depth=34, zero_init_residual=False),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', in_channels=512, loss=dict(type='CrossEntropyLoss')),
)
