"""What is published about each training set: its size, and where a user gets it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingSet:
    """Facts about one training set."""

    title: str  # what reports call it
    images: int  # in all its splits
    classes: int  # in all its splits
    paper: str  # where it was introduced
    sources: tuple[str, ...]  # where a user gets it and how the files must lie, one a line
    tfds_name: str | None = None  # in TensorFlow Datasets, if it is read through it


def _tfds_sources(name, published):
    return (
        f"as published: {published} lie in the data folder; or",
        f"prepared by TensorFlow Datasets: `tfds build {name} --data_dir=FOLDER`, and "
        "--data_dir=FOLDER here; that command downloads, nothing here does",
    )


def _sfm(title, images):
    return TrainingSet(
        *(title, images, 713),
        "F. Radenovic, G. Tolias, O. Chum: Fine-tuning CNN Image Retrieval with No Human "
        "Annotation. PAMI 2018",
        (
            f"list: {title}.pkl, linked at https://github.com/filipradenovic/cnnimageretrieval-pytorch",
            "images: ims.tar.gz from the same place, unpacked into ims/, so that the image "
            "...abcdef lies at ims/ef/cd/ab/...abcdef",
        ),
    )


TRAINING_SETS = {
    "gldv2_clean": TrainingSet(
        *("GLDv2-clean", 1_580_470, 81_313),
        "T. Weyand, A. Araujo, B. Cao, J. Sim: Google Landmarks Dataset v2. CVPR 2020; cleaned by "
        "S. Yokoo, K. Ozaki, E. Simo-Serra, S. Iizuka: Two-stage Discriminative Re-ranking for "
        "Large-scale Landmark Retrieval. CVPR Workshops 2020",
        (
            "list: train_clean.csv, linked at https://github.com/cvdfoundation/google-landmark",
            "images: images_000.tar to images_499.tar of the train set from the same page, all "
            "unpacked into train/, so that 0123456789abcdef lies at "
            "train/0/1/2/0123456789abcdef.jpg",
            "it overlaps ROxford5k and RParis6k: results on them are not of unseen landmarks",
        ),
    ),
    "landmarks_clean": TrainingSet(
        *("cleaned Landmarks", 48_792, 586),
        "A. Gordo, J. Almazan, J. Revaud, D. Larlus: Deep Image Retrieval: Learning Global "
        "Representations for Image Search. ECCV 2016; images of A. Babenko et al.: Neural Codes "
        "for Image Retrieval. ECCV 2014",
        (
            "lists: annotation_clean_train.txt and annotation_clean_val.txt, a line of `url label` "
            "for each image, from the Deep Image Retrieval page of NAVER LABS Europe",
            "images: fetched from the URLs by the user into images/, each named by the SHA-1 of "
            "its URL in hexadecimal digits with the ending .jpg (`printf %s URL | sha1sum`); "
            "many URLs are dead by now",
        ),
    ),
    "sfm_30k": _sfm("retrieval-SfM-30k", 28_559),
    "sfm_120k": _sfm("retrieval-SfM-120k", 98_045),
    "products": TrainingSet(
        *("Stanford Online Products", 120_053, 22_634),
        "H. O. Song, Y. Xiang, S. Jegelka, S. Savarese: Deep Metric Learning via Lifted "
        "Structured Feature Embedding. CVPR 2016",
        (
            "lists and images: Stanford_Online_Products.zip, linked at "
            "https://cvgl.stanford.edu/projects/lifted_struct/, unpacked so that Ebay_train.txt, "
            "Ebay_test.txt and the folders *_final lie in the data folder",
        ),
    ),
    "cub200": TrainingSet(
        *("CUB-200-2011", 11_788, 200),
        "C. Wah, S. Branson, P. Welinder, P. Perona, S. Belongie: The Caltech-UCSD Birds-200-2011 "
        "Dataset. Caltech CNS-TR-2011-001",
        _tfds_sources(
            "caltech_birds2011",
            "CUB_200_2011.tgz, linked at https://www.vision.caltech.edu/datasets/cub_200_2011/, "
            "unpacked so that images.txt, image_class_labels.txt and images/",
        ),
        "caltech_birds2011",
    ),
    "cars196": TrainingSet(
        *("Cars196", 16_185, 196),
        "J. Krause, M. Stark, J. Deng, L. Fei-Fei: 3D Object Representations for Fine-Grained "
        "Categorization. 3dRR 2013",
        _tfds_sources("cars196", "car_ims.tgz, unpacked, and cars_annos.mat"),
        "cars196",
    ),
}
