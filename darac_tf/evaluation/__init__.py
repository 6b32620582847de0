"""What eval.py does: a task, what is measured on it, one evaluator, the tables of the paper."""
