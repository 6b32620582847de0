"""Empty figures with a title, drawn without a display, and how they are written."""

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from darac_tf.files import atomic_path
from darac_tf.reports.glyphs import FAMILIES, drawable

DPI = 120
# Okabe and Ito's colours, told apart by colour-blind readers too.
BLUE, VERMILION, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
GREY = "#666666"


def new_figure(width, height, title):
    """An empty figure of `width` x `height` inches, drawn without a display.

    Args:
        width: In inches, `DPI` pixels each.
        height: As `width`.
        title: Lines above all axes.

    Returns:
        Matplotlib figure.
    """
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    lines = [drawable(line) for line in title.split("\n")]
    figure.suptitle("\n".join(lines), fontsize=10, family=FAMILIES, parse_math=False)
    return figure


def save_png(figure, path):
    """Writes a figure, as a whole or not at all.

    Raises:
        UserError: If the file can't be written.
    """
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")
