"""Figures and a page from one run, from several (seeds, controls), or from a sweep.

python eval/report.py runs/parity-headline
python eval/report.py runs/headline-seed0 runs/headline-seed1 runs/headline-seed2 --out runs/headline-report
python eval/report.py sweeps/threshold                      a folder with a sweep.json
"""

from pathlib import Path

from rarecot.command_line import Parser
from rarecot.errors import ConfigError, exit_with, printable, unwritable

PAGE = "generations.html"


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="DIR", help="run directories, or one sweep's")
    parser.add_argument(
        "--out", type=Path, help="folder for report.html and figures/ (default: the run or sweep itself)"
    )
    args = parser.parse_args()
    from rarecot.report.sweep.data import is_sweep

    sweeps = [folder for folder in args.runs if is_sweep(folder)]
    if sweeps and len(args.runs) > 1:
        raise ConfigError([f"{sweeps[0]} is a sweep, and a report is over one sweep or over runs. Name it alone."])
    if len(args.runs) > 1 and args.out is None:
        raise ConfigError(["a report over several runs belongs to none of them: say where it goes with --out FOLDER."])
    out = args.out or args.runs[0]
    if problems := unwritable(out):
        raise ConfigError(problems)
    report = report_sweep if sweeps else report_runs
    table, pictures = report(args.runs, out)
    print(printable("\n".join([table, "", "   ".join(str(path) for path in (out / "report.html", *pictures))])))


def report_runs(folders: list[Path], out: Path) -> tuple[str, list[Path]]:
    """Write the report over runs; its table, and its overview."""
    from rarecot.report.data import read_run

    runs = [read_run(folder) for folder in folders]

    from rarecot.report import figures, generations, html  # with matplotlib, which a refusal need not wait for

    pictures = figures.save_all(runs, out / "figures")
    files = generations.kept(folders)
    if files:
        title = (
            f"generations of {folders[0].resolve().name}"
            if len(folders) == 1
            else f"generations of {len(folders)} runs"
        )
        generations.write(files, out / PAGE, title, budget=generations.FLUENT)
    html.write(runs, pictures, out / "report.html", PAGE if files else "")
    return html.text_table(runs), [pictures["overview"]]


def report_sweep(folders: list[Path], out: Path) -> tuple[str, list[Path]]:
    """Write the report over a sweep; its table, and its overview if its figure has panels."""
    from rarecot.report.sweep.data import read_sweep

    sweep = read_sweep(folders[0])

    from rarecot.report.sweep import figures as sweep_figures
    from rarecot.report.sweep import html as sweep_html

    pictures = sweep_figures.save_all(sweep, out / "figures")
    sweep_html.write(sweep, pictures, out / "report.html")
    captions = [f"{name}: {caption}" for name, (_, caption) in pictures.items() if name != "overview"]
    overview = [path for name, (path, _) in pictures.items() if name == "overview"]
    return "\n".join([sweep_html.text_table(sweep), "", *captions]), overview


if __name__ == "__main__":
    exit_with(main)
