"""A checkpoint's model card, from what its run knows of it today; and its upload to the hub.

python eval/card.py runs/parity-headline/grpo                              the newest complete checkpoint of a stage
python eval/card.py runs/parity-headline/grpo/checkpoint-30 --push me/parity-grpo --private
python eval/card.py runs/parity-headline/grpo --push me/parity-grpo --dry_run         what would be pushed; no network
"""

import os
from pathlib import Path

from rarecot import checkpoints
from rarecot.command_line import Parser
from rarecot.errors import ConfigError, exit_with


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("checkpoint", type=Path, help="a complete checkpoint of a run, or a stage's folder: its newest")
    parser.add_argument("--push", metavar="REPO_ID", help="upload it to this repository of the hub, made if need be")
    parser.add_argument("--private", action="store_true", help="--push: nobody else may see it")
    parser.add_argument("--dry_run", action="store_true", help="--push: only list what would be uploaded")
    args = parser.parse_args()
    if (args.private or args.dry_run) and args.push is None:
        raise ConfigError(["--private and --dry_run say how to push. Add --push ORGANISATION/NAME, or leave them out."])
    folder, run_dir = located(args.checkpoint)
    from rarecot import hub
    from rarecot.evaluation import card

    if args.push is not None:
        problems = card.unloadable(run_dir, folder) + hub.links(folder)
        problems += hub.push_problems(args.push, needs_token=not args.dry_run)
        if problems:
            raise ConfigError(problems)
    print(card.write(run_dir, folder, args.push or ""))
    if args.push is None:
        return
    for path in hub.pushed_files(folder):
        print(f"{path.stat().st_size:>14,} bytes  {path.name}".replace(",", " "))
    if args.dry_run:
        print(f"nothing was pushed to {args.push}: --dry_run")
        return
    print(hub.push(folder, args.push, f"{folder.parent.name}, {folder.name}", private=args.private))


def located(named: Path) -> tuple[Path, Path]:
    """The complete checkpoint that a user names, and its run's directory."""
    folder = checkpoints.resolve(named)
    if folder is None or checkpoints.read_stamp(folder) is None:
        raise ConfigError(
            [
                f"{named} is no complete checkpoint of a run, nor a stage with one (no {checkpoints.STAMP}). Name RUN/STAGE or "
                f"RUN/STAGE/checkpoint-N; a run that was stopped is resumed by its own command."
            ]
        )
    folder = Path(os.path.abspath(folder))
    if not (folder.parents[1] / "config.yaml").is_file():
        raise ConfigError(
            [f"{named} lies in no run directory, which knows what made it. Put it back, as RUN/STAGE/checkpoint-N."]
        )
    return folder, folder.parents[1]


if __name__ == "__main__":
    exit_with(main)
