"""What to type after a run: commands that work as they stand, whatever is in them."""

import os
import shlex
import shutil
import sys
from pathlib import Path

from hfcls.system.quoting import python_string

# hfcls is on no package index yet, where its name could be anybody's: until it is, an extra comes from the checkout.
INSTALL = "pip install -e . in the checkout of hfcls"
INSTALL_EXTRA = "pip install -e '.[{extra}]' in the checkout of hfcls"


def try_it(folder: str, texts: list[str]) -> str:
    """A shell command that labels a text, or a pair of texts, with the model in `folder`."""
    if len(texts) == 2:  # which `hfcls predict` takes from a file only
        name, first, second = map(python_string, [folder, *texts])
        code = f"import hfcls; print(hfcls.Classifier.from_pretrained({name})(({first}, {second})))"
        return f"{command_of('python')} {shlex.join(['-c', code])}"
    model = [f"--model={folder}"] if folder.startswith("-") else ["--model", folder]
    end_of_options = ["--"] if texts[0].startswith("-") else []
    return f"{command_of('hfcls')} {shlex.join(['predict', *model, *end_of_options, *texts])}"


def command_of(name: str) -> str:
    """How the user starts a command of this environment: by its name if the PATH leads to it, else by its path."""
    here, found = Path(sys.executable).with_name(name), shutil.which(name)
    if found and (found == str(here) or not here.exists()):
        return name
    if name == "hfcls" and not here.exists():  # run from a checkout that is on the module path only
        return f"{command_of('python')} -m hfcls.cli"
    return shlex.quote(os.path.relpath(here))
