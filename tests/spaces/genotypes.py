"""Published cells and the sizes of their networks, computed independently of moonas (by building them and in closed form)."""

from moonas.architecture import Architecture

_NAMES = {
    "s3": "sep_conv_3x3",
    "s5": "sep_conv_5x5",
    "d3": "dil_conv_3x3",
    "d5": "dil_conv_5x5",
    "mp": "max_pool_3x3",
    "m5": "max_pool_5x5",
    "ap": "avg_pool_3x3",
    "sk": "skip_connect",
    "c1": "conv_1x1",
    "c3": "conv_3x3",
    "c31": "conv_3x1_1x3",
}

CELLS = {
    "DARTS_V1": ("s3 1, s3 0 | sk 0, s3 1 | sk 0, s3 1 | s3 0, sk 2", "mp 0, mp 1 | sk 2, mp 0 | mp 0, sk 2 | sk 2, ap 0"),
    "DARTS_V2": ("s3 0, s3 1 | s3 0, s3 1 | s3 1, sk 0 | sk 0, d3 2", "mp 0, mp 1 | sk 2, mp 1 | mp 0, sk 2 | sk 2, mp 1"),
    "PC_DARTS_cifar": ("s3 1, sk 0 | s3 0, d3 1 | s5 0, s3 1 | ap 0, d3 1", "s5 1, mp 0 | s5 1, s5 2 | s3 0, s3 3 | s3 1, s3 2"),
    "PC_DARTS_image": ("sk 1, s3 0 | s3 0, sk 1 | s3 1, s3 3 | s3 1, d5 4", "s3 0, sk 1 | d5 2, mp 1 | s3 2, s3 1 | s5 0, s3 3"),
    "PDARTS": ("sk 0, d3 1 | sk 0, s3 1 | s3 1, s3 3 | s3 0, d5 4", "ap 0, s5 1 | s3 0, d5 2 | mp 0, d3 1 | d3 1, d5 3"),
    "DrNAS_cifar10": ("s3 0, s5 1 | s3 1, s3 2 | sk 0, s3 1 | s3 2, d5 3", "mp 0, s5 1 | d5 2, s5 1 | s5 1, d5 3 | sk 4, s5 1"),
    "DrNAS_imagenet": ("s3 1, s3 0 | s3 0, s3 1 | s3 0, d3 3 | sk 0, s3 1", "mp 0, s3 1 | s3 0, sk 2 | s3 0, s3 2 | s3 3, s3 1"),
}

# cell: (CIFAR-10 C36 L20, CIFAR-100 C36 L20, ImageNet C48 L14, CIFAR-10 C16 L8); (parameters, multiply-adds), None where not known
SIZES = {
    "DARTS_V1": ((3_169_414, 500_987_520), (3_221_344, None), (4_510_432, 505_864_704), (232_890, 41_355_776)),
    "DARTS_V2": ((3_349_342, 528_359_040), (3_401_272, None), (4_718_752, 529_911_552), (246_106, 43_444_736)),
    "PC_DARTS_cifar": ((3_634_678, 556_670_592), (3_686_608, None), (5_270_560, 571_137_408), (335_738, 53_258_752)),
    "PC_DARTS_image": ((3_721_510, 570_466_944), (3_773_440, None), (5_342_464, 581_627_328), (327_546, 52_460_032)),
    "PDARTS": ((3_433_798, 532_174_464), (3_485_728, None), (4_944_352, 542_819_328), (292_026, 48_138_752)),
    "DrNAS_cifar10": ((4_099_294, 635_135_616), (4_151_224, None), None, (360_410, 58_690_048)),
    "DrNAS_imagenet": ((4_048_750, 617_938_560), (4_100_680, None), (5_726_368, 624_405_504), (346_650, 55_241_216)),
}


# the cell that the development notes of TND-NAS report; its sizes are those printed in the paper, truncated to two decimals
TND = (
    "s3 0, c1 1 | sk 0, c3 1 | c1 0, c1 1, s3 3 | c1 0, c31 1, d3 3",
    "mp 0, m5 1 | m5 0, mp 1, m5 2 | m5 0, mp 1, sk 2, m5 3 | mp 0, sk 1, ap 2, mp 3",
)
# channels at 20 cells: (parameters for 10 classes, for 100, multiply-adds for 10)
TND_SIZES = {
    16: (1_099_034, 1_122_164, 167_143_936),
    24: (2_433_634, 2_468_284, 369_270_528),
    36: (5_416_894, 5_468_824, 820_653_696),
    48: (9_577_786, 9_646_996, 1_449_868_800),
}


def tnd_cell() -> Architecture:
    """The identified cell of TND-NAS."""
    groups = {group: _edges(text) for group, text in zip(("normal", "reduce"), TND, strict=True)}
    return Architecture("tnd-cnn", groups, dict.fromkeys(groups, range(2, 6)))


def published(name: str) -> Architecture:
    """A published cell by name."""
    return Architecture(
        "darts-cnn",
        {group: _edges(text) for group, text in zip(("normal", "reduce"), CELLS[name], strict=True)},
        {"normal": range(2, 6), "reduce": range(2, 6)},
    )


def _edges(text: str) -> list[tuple[int, int, str]]:
    pairs = [(node, pair.split()) for node, node_text in enumerate(text.split("|"), start=2) for pair in node_text.split(",")]
    return [(node, int(predecessor), _NAMES[name]) for node, (name, predecessor) in pairs]
