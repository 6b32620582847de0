"""Two-dimensional embeddings of digits, trained with softmax, triplets and NRA at equal budget.

    python -m studies.digits --steps=400 --seeds=3 --out=runs/digits
    python -m studies.digits --data=mnist --data_dir=tensorflow_datasets --out=runs/mnist

The same network from the same initial weights sees the same batches with each loss. Prints a table
of k-NN accuracy and mAP on test digits, mean and deviation over the seeds; --out gets digits.png
(embeddings of the test digits with the first seed), .md and .json. Triplets come twice: batch-hard
mining collapses two-dimensional embeddings, semi-hard mining does not.

Softmax embeddings are drawn and measured in the plane, where they are trained. The other losses
normalise embeddings, so theirs are drawn and measured on the circle.
"""

import sys

import keras
from absl import flags

from darac_tf import cli
from darac_tf.errors import UserError
from studies.digit_data import KINDS, load_digits
from studies.digit_plot import draw_embeddings
from studies.digit_scores import mean_and_deviation, placed, score, score_table
from studies.digit_training import LOSSES, batches, build_network, embed, train
from studies.figures import write_study

FLAGS = flags.FLAGS
flags.DEFINE_enum("data", "sklearn", KINDS, "scikit-learn's digits, or MNIST.")
flags.DEFINE_string("data_dir", None, "Where TensorFlow Datasets keeps MNIST.")
flags.DEFINE_list(
    "losses", ["softmax", "triplet", "semi_hard_triplet", "nra"], f"Of {', '.join(LOSSES)}."
)
flags.DEFINE_integer("seeds", 3, "Trainings with each loss.", lower_bound=1)
flags.DEFINE_integer("steps", 400, "Batches of a training.", lower_bound=1)
flags.DEFINE_integer("classes_per_batch", 10, "P.", lower_bound=2, upper_bound=10)
flags.DEFINE_integer("images_per_class", 8, "K.", lower_bound=2)
flags.DEFINE_float("learning_rate", 3e-3, "Adam's, of the first step.", lower_bound=0)
flags.DEFINE_integer("neighbours", 5, "k of k-NN.", lower_bound=1)
flags.DEFINE_string("out", None, "Folder of the picture and the numbers.", required=True)


def check_losses(names):
    if not names or len(set(names)) != len(names) or not set(names) <= set(LOSSES):
        raise UserError(f"--losses={','.join(names)}: name some of {', '.join(LOSSES)}, each once")


def run_seed(name, digits, indices, seed):
    """`(scores, test embeddings, loss at the last step)` of one training."""
    make_loss, space = LOSSES[name]
    # The network comes first, so that all losses start from the same one.
    keras.utils.set_random_seed(seed)
    network = build_network(digits.train_images.shape[1:])
    values = train(
        network,
        make_loss(),
        digits.train_images,
        digits.train_labels,
        indices,
        FLAGS.learning_rate,
    )
    train_embeddings = embed(network, digits.train_images)
    test_embeddings = embed(network, digits.test_images)
    found = score(train_embeddings, test_embeddings, digits, space, FLAGS.neighbours)
    return found, test_embeddings, float(values[-1])


def main():
    options = {flag.name: flag.value for flag in FLAGS.get_key_flags_for_module(sys.argv[0])}
    check_losses(FLAGS.losses)
    digits = load_digits(FLAGS.data, FLAGS.data_dir)
    shape = (FLAGS.classes_per_batch, FLAGS.images_per_class, FLAGS.steps)
    indices = [batches(digits.train_labels, *shape, seed) for seed in range(FLAGS.seeds)]
    scores, results, panels = {}, [], []
    for name in FLAGS.losses:
        space, scores[name] = LOSSES[name][1], []
        for seed in range(FLAGS.seeds):
            found, embeddings, last = run_seed(name, digits, indices[seed], seed)
            scores[name].append(found)
            results.append({"loss": name, "space": space, "seed": seed, **found, "last loss": last})
            if seed == 0:
                first = placed(embeddings, space)
        accuracy = mean_and_deviation([found["accuracy"] for found in scores[name]])
        lines = [f"k-NN accuracy {accuracy} %"]
        panels.append((name.replace("_", " "), space, first, digits.test_labels, lines))
    table = score_table({name: LOSSES[name][1] for name in scores}, scores)
    budget = (
        f"{FLAGS.steps} steps of {FLAGS.classes_per_batch} x {FLAGS.images_per_class} images, "
        f"{FLAGS.seeds} seeds"
    )
    about = f"Test digits ({FLAGS.data}) in two dimensions, {budget}"
    page = f"# Digits in two dimensions\n\n{about}; mean ± deviation of the seeds.\n\n{table}"
    write_study(FLAGS.out, "digits", draw_embeddings(about, panels), page, results, options)
    print(table)


if __name__ == "__main__":
    cli.run(main)
