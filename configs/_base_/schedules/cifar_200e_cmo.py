# As cifar_200e.py, with CMO's released epochs: the first four and the last three are not mixed.
_base_ = './cifar_200e.py'

custom_hooks = [
    dict(
        type='SwitchRecipeHook',
        schedule=[
            dict(action_epoch=1, batch_augments=None),
            dict(action_epoch=5, batch_augments=dict(augments=dict(type='CMOBatchAugment'))),
            dict(action_epoch=198, batch_augments=None),
        ],
    )
]
