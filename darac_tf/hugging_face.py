"""Folders of models on the Hugging Face hub, `hf://USER/NAME`: by the extra `hub`.

What comes from there is anyone's: models are read by Keras's safe mode, whitenings without pickles,
and exports, which are programs, are not fetched at all.
"""

import re
from pathlib import Path

from darac_tf.errors import UserError

HF = "hf://"
_NAME = re.compile(r"hf://([\w.-]+/[\w.-]+?)(?:@([\w./-]+))?", re.ASCII)
_FILES = ("*.keras", "*.npz", "*.json")


def repository_of(name):
    """`("USER/NAME", revision or None)` of `hf://USER/NAME[@REVISION]`, or a `UserError`."""
    found = _NAME.fullmatch(name)
    if found is None:
        raise UserError(f"{name}: write it as hf://USER/NAME, or hf://USER/NAME@REVISION")
    return found.groups()


def local_copy(name):
    """The folder of `hf://USER/NAME[@REVISION]` in the hub's cache; all other names as they are.

    What is not there is downloaded. Without a network, or with `HF_HUB_OFFLINE=1`, it is what was
    downloaded last. `UserError` if there is no such model, or it can't be had.
    """
    if not str(name).startswith(HF):
        return name
    repository, revision = repository_of(name)
    hub = _library(name)
    try:
        return hub.snapshot_download(repository, revision=revision, allow_patterns=_FILES)
    except Exception as error:  # Of the network, the hub and the cache: each raises its own.
        raise UserError(f"{name}: can't be had, nor is it in the cache ({_line(error)})") from error


def upload(folder, name, private=False):
    """Uploads all files of a folder to `hf://USER/NAME`, as one commit; returns its address.

    A repository that isn't there is made. `UserError` if the hub refuses it, or can't be reached.
    """
    repository, revision = repository_of(name)
    hub = _library(name)
    try:
        api = hub.HfApi()
        api.create_repo(repository, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            revision=revision,
            commit_message=f"darac publish {Path(folder).name}",
        )
    except Exception as error:  # As above.
        raise UserError(f"--to={name}: can't be uploaded ({_line(error)})") from error
    return commit.commit_url


def _library(name):
    try:
        import huggingface_hub
    except ImportError as error:
        message = f"{name} needs huggingface_hub: pip install 'darac-tf[hub]'"
        raise UserError(message) from error
    return huggingface_hub


def _line(error):
    return " ".join((str(error).strip() or type(error).__name__).split())[:200]
