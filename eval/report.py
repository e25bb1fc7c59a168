"""Figures and a page from one run, or from several (seeds, controls, a sweep).

python eval/report.py runs/parity-headline
python eval/report.py runs/headline-seed0 runs/headline-seed1 runs/headline-seed2 --out runs/headline-report
"""

import argparse
from pathlib import Path

from rarecot.errors import ConfigError, exit_with


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="DIR", help="run directories")
    parser.add_argument("--out", type=Path, help="folder for report.html and figures/ (default: the run itself)")
    args = parser.parse_args()
    if len(args.runs) > 1 and args.out is None:
        raise ConfigError(["a report over several runs belongs to none of them: say where it goes with --out FOLDER."])

    from rarecot.report import figures, html
    from rarecot.report.data import read_run

    runs = [read_run(folder) for folder in args.runs]
    out = args.out or args.runs[0]
    pictures = figures.save_all(runs, out / "figures")
    html.write(runs, pictures, out / "report.html")
    print(html.text_table(runs))
    print(f"\n{out / 'report.html'}   {pictures['overview']}")


if __name__ == "__main__":
    exit_with(main)
