"""Numbers of an image that an augmentation changes, to compare how often it does."""

#: Name to a function of images ``(N, 3, H, 32)``, a number or several of each.
STATISTICS = {
    'mean': lambda x: x.mean((2, 3)).flatten(),
    'contrast': lambda x: x.std((1, 2, 3)),
    'colourfulness': lambda x: (x.amax(1) - x.amin(1)).mean((1, 2)),
    'sharpness': lambda x: (x[..., 1:] - x[..., :-1]).abs().mean((1, 2, 3)),
    'left against right': lambda x: (x[..., :16] - x[..., 16:]).mean((1, 2, 3)),
}
