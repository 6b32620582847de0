"""What is published about each benchmark: its size, and where a user gets it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """Facts about one benchmark."""

    title: str  # what reports call it
    protocol: str  # a key of `metrics.PROTOCOLS`
    images: int  # in the database
    queries: int
    positives: int | None  # of all queries together; None where nobody counts them
    paper: str  # where it was introduced
    sources: tuple[str, ...]  # where a user gets images and ground truth, one a line


_OXFORD_IMAGES = (
    "images: oxbuild_images from https://www.robots.ox.ac.uk/~vgg/data/oxbuildings/, "
    "unpacked into jpg/"
)
_PARIS_IMAGES = (
    "images: paris_1 and paris_2 from https://www.robots.ox.ac.uk/~vgg/data/parisbuildings/, "
    "unpacked into jpg/ (with or without a folder per landmark)"
)
_REVISITED_PAPER = (
    "F. Radenovic, A. Iscen, G. Tolias, Y. Avrithis, O. Chum: Revisiting Oxford and Paris: "
    "Large-Scale Image Retrieval Benchmarking. CVPR 2018"
)


def _gnd(kind, page):
    return f"ground truth: gnd_{kind}.pkl or gnd_{kind}.mat from {page}, beside jpg/"


PUBLISHED = {
    "oxford5k": Published(
        *("Oxford5k", "oxford", 5063, 55, None),
        "J. Philbin, O. Chum, M. Isard, J. Sivic, A. Zisserman: Object Retrieval with Large "
        "Vocabularies and Fast Spatial Matching. CVPR 2007",
        (
            _OXFORD_IMAGES,
            _gnd("oxford5k", "http://cmp.felk.cvut.cz/cnnimageretrieval/data/test/oxford5k/"),
            "or the text files of gt_files from the page of the images, unpacked into gt/",
        ),
    ),
    "paris6k": Published(
        *("Paris6k", "oxford", 6392, 55, None),
        "J. Philbin, O. Chum, M. Isard, J. Sivic, A. Zisserman: Lost in Quantization: Improving "
        "Particular Object Retrieval in Large Scale Image Databases. CVPR 2008",
        (
            _PARIS_IMAGES,
            _gnd("paris6k", "http://cmp.felk.cvut.cz/cnnimageretrieval/data/test/paris6k/"),
            "or the text files of paris_120310 from the page of the images, unpacked into gt/",
        ),
    ),
    "roxford5k": Published(
        *("ROxford5k", "revisited", 4993, 70, None),
        _REVISITED_PAPER,
        (_OXFORD_IMAGES, _gnd("roxford5k", "http://cmp.felk.cvut.cz/revisitop/")),
    ),
    "rparis6k": Published(
        *("RParis6k", "revisited", 6322, 70, None),
        _REVISITED_PAPER,
        (_PARIS_IMAGES, _gnd("rparis6k", "http://cmp.felk.cvut.cz/revisitop/")),
    ),
    "holidays": Published(
        *("INRIA Holidays", "holidays", 1491, 500, 991),
        "H. Jegou, M. Douze, C. Schmid: Hamming Embedding and Weak Geometric Consistency for "
        "Large Scale Image Search. ECCV 2008",
        (
            "images: jpg1 and jpg2 from https://lear.inrialpes.fr/~jegou/data.php, unpacked into "
            "jpg/",
            "name list (not needed when all images are there): holidays_images.dat of the "
            "evaluation package from the same page, beside jpg/",
        ),
    ),
    "gpr1200": Published(
        *("GPR1200", "gpr1200", 12000, 12000, 108000),
        "K. Schall, K. U. Barthel, N. Hezel, K. Jung: GPR1200: A Benchmark for General-Purpose "
        "Content-Based Image Retrieval. MMM 2022",
        (
            "images: the link at https://github.com/Visual-Computing/GPR1200, unpacked into "
            "images/; their names are the ground truth",
        ),
    ),
}

# The 20 files of the Paris archives that hold no image, from corrupt.txt on the page of the images.
# Papers leave them out, which gives 6392 of 6412.
PARIS_CORRUPT = frozenset(
    f"paris_{landmark}_{number:06d}"
    for landmark, *numbers in (
        *(("louvre", 136, 146), ("moulinrouge", 422), ("museedorsay", 1059), ("notredame", 188)),
        *(("pantheon", 284, 960, 974), ("pompidou", 195, 196, 201, 467, 640)),
        *(("sacrecoeur", 299, 330, 353), ("triomphe", 662, 833, 863, 867)),
    )
    for number in numbers
)
