"""The paper's tables, measured: their rows are data, with the paper's figures."""

from darac_tf.evaluation.paper_tables.measuring import measure_table
from darac_tf.evaluation.paper_tables.rows import NAMES, Row, load_rows

__all__ = ["NAMES", "Row", "load_rows", "measure_table"]
