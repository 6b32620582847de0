"""Runs one command: imports the module of its name in this folder, and no other."""

import importlib
import sys

import darac_tf
from darac_tf import cli
from darac_tf.errors import UserError

# To add a command: a module with a docstring that says how it is called, and `main(arguments)`,
# which gets the words after the command's name and returns an exit status, None for 0.
COMMANDS = {
    "demo": "show in three minutes what this does, on drawn or your own images",
    "train": "train a descriptor on labelled images",
    "eval": "measure descriptors on labelled images or a benchmark",
    "selftest": "measure, without labels, what finds your own photographs again",
    "convert": "make a run directory of a model that others have published",
    "export": "write a descriptor as a SavedModel",
    "publish": "hand a run on to others, as a folder or on the Hugging Face hub",
    "prepare": "prepare a training set for fast reading",
    "describe": "write vectors of images for other tools",
    "manifest": "list images for describe, by their ids and where they are",
    "whiten": "whiten described parts of a large collection",
    "index": "describe your own images with an exported model",
    "query": "find the images of an index that are most like others",
    "web": "search an index with pictures, on a page in the browser",
    "push": "bring a vector database up to date with an index",
    "duplicates": "list images of an index that are nearly the same",
    "forget": "drop folders from an index",
}


def main(arguments=None):
    """Runs the command that a list of words names; by default those of the command line.

    Returns its exit status. A `UserError` is printed as `error: ...`, with status 1; Ctrl-C has
    status 130.
    """
    return cli.status_of(_run, sys.argv[1:] if arguments is None else arguments)


def _run(arguments):
    name, *rest = arguments or ["--help"]
    if name in ("--help", "-h", "help"):
        print("usage: darac COMMAND [--FLAG=VALUE ...]\n")
        for command, summary in COMMANDS.items():
            print(f"  {command:<12}{summary}")
        print("\n`darac COMMAND --help` explains a command and its flags.")
        return 0 if arguments else 1
    if name == "--version":
        print(f"darac-tf {darac_tf.__version__}")
        return 0
    if name not in COMMANDS:
        known = ", ".join(COMMANDS)
        raise UserError(f"unknown command {name!r}: choose from {known} (see darac --help)")
    return importlib.import_module(f"darac_tf.commands.{name}").main(rest)
