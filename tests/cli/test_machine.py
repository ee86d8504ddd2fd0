"""What is said of this machine, and what completes a command in a shell."""

import subprocess
import sys

import torch

from noise2mask.cli import main


def test_the_doctor_names_versions_machine_and_environments(capsys):
    assert main(["doctor"]) == 0
    found = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert found["torch"] == torch.__version__
    assert {"python", "processor", "memory", "gpu", "threads", "blas", "folder"} <= set(found)
    assert {"nnunet", "segformer"} <= set(found)


def test_a_shell_completes_commands_and_options():
    script = (
        f'eval "$({sys.executable} -m noise2mask completion bash)"\n'
        'complete_() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()\n'
        '  _shtab_noise2mask noise2mask "${@: -1}"; echo "${COMPREPLY[*]}"; }\n'
        "complete_ noise2mask repr\ncomplete_ noise2mask train --netw\n"
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert done.stdout.split() == ["reproduce", "--network"], done.stderr
