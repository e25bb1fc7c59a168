"""The paper's autoregressive linear model, run: Theorem 1, Theorem 2 and the rate of SGD, on one CPU core, without a transformer.

    python recipes/linear.py --config recipes/linear/theorem1.yaml
    … --d 20 --p 0.1,0.25 --seeds 1     any key of the YAML; several values between commas
    … --out DIR                         where results.json and the figure go, instead of the YAML's

What each experiment measures: src/rarecot/theory/linear/experiments.py; the options: spec.py beside it.
"""

import json
import time
from pathlib import Path

from rarecot.command_line import Parser
from rarecot.errors import ConfigError, exit_with
from rarecot.mixtures.spec import read_mapping
from rarecot.theory.linear.spec import LinearSpec, options


def parse() -> LinearSpec:
    """The experiment that the command line asks for; every mistake ends here, before anything is computed."""
    parser = Parser(__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the experiment's YAML")
    args, words = parser.parse_known_args()
    values, problems, seen = {}, parser.problems, set()
    try:
        values = read_mapping(args.config)
    except ConfigError as error:
        problems += error.problems
    while words:
        key, has_value, value = words.pop(0).partition("=")
        if not key.startswith("--") or (not has_value and not words):
            problems.append(f"cannot read '{key}': options are given as --key value.")
            continue
        if key in seen:
            problems.append(f"{key} is given twice. Leave one of them out.")
        seen.add(key)
        values[key.removeprefix("--")] = value if has_value else words.pop(0)
    spec, more = LinearSpec.from_mapping(values)
    problems += more
    try:
        if not problems:
            Path(spec.out).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problems.append(f"out is {spec.out}, which cannot be made a folder ({error.strerror}).")
    if problems:
        raise ConfigError(problems)
    return spec


def main() -> None:
    spec = parse()

    from rarecot.report import linear as report
    from rarecot.report.plain import plain
    from rarecot.theory.linear import experiments

    start, rows = time.perf_counter(), []
    for part in experiments.run(spec):
        rows += part
        print(f"[{time.perf_counter() - start:5.0f} s] d = {part[0]['d']}, seed {part[0]['seed']}", flush=True)
    seconds = round(time.perf_counter() - start, 1)
    points = experiments.summarise(rows)
    slopes = experiments.slopes(rows) if spec.experiment == "rate" else None
    results = {"options": options(spec), "seconds": seconds, "points": points, "slopes": slopes, "rows": rows}
    out = Path(spec.out)
    (out / "results.json").write_text(json.dumps(plain(results), indent=1) + "\n")
    picture = report.save(spec.experiment, points, slopes, out / f"{spec.experiment}.png")
    print(f"\n{report.table(spec.experiment, points, slopes)}\n\n{out / 'results.json'}   {picture}")


if __name__ == "__main__":
    exit_with(main)
