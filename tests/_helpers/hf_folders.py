"""Folders as Hugging Face saves them, with something else in them."""

import json
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

from safetensors.numpy import save_file


def changed(
  folder: pathlib.Path, to: pathlib.Path, tensors: Mapping[str, Any] | None = None, **words: Any
) -> str:
  """A copy with other words in its config.json, and perhaps other tensors."""
  shutil.copytree(folder, to, dirs_exist_ok=True)
  config = json.loads((to / 'config.json').read_text()) | words
  (to / 'config.json').write_text(json.dumps(config))
  if tensors is not None:
    save_file(dict(tensors), to / 'model.safetensors', metadata={'format': 'pt'})
  return str(to)
