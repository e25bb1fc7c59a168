"""What works on this machine, and what to do about what does not.

    python recipes/doctor.py [--run_dir runs]

Tries packages, disk, memory, device, a gloo (and NCCL) broadcast, and with vLLM its import, a generation and a weight sync.
"""

import sys
from pathlib import Path

from rarecot.command_line import Parser
from rarecot.errors import EXIT_FAILED, exit_with
from rarecot.training import doctor


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--run_dir", type=Path, default=Path(), help="where runs will be written")
    findings = doctor.examine(parser.parse_args().run_dir)
    print(*findings, sep="\n")
    if any(finding.state == "FAIL" for finding in findings):
        sys.exit(EXIT_FAILED)


if __name__ == "__main__":
    exit_with(main)
