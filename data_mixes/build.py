"""Build a mixture and look at it.

    python data_mixes/build.py data_mixes/parity-headline.yaml --out DIR [--p_cot 0.1] [--any_key value] [--show 3]

DIR then holds the splits (`datasets.load_from_disk(DIR)`) and `manifest.json`; recipes take it as `--mixture DIR`.
"""

import argparse
from pathlib import Path

from rarecot.errors import ConfigError, exit_with
from rarecot.mixtures.spec import MixtureSpec, read_mapping
from rarecot.quiet import quiet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spec", type=Path, help="a mixture's YAML")
    parser.add_argument("--out", type=Path, required=True, help="folder to write; must not hold anything yet")
    parser.add_argument("--show", type=int, default=0, metavar="N", help="print N rendered examples of each kind")
    args, rest = parser.parse_known_args()
    if args.out.exists() and any(args.out.iterdir()):
        raise ConfigError([f"{args.out} is not empty, and nothing is overwritten. Choose another --out."])
    spec = MixtureSpec.from_mapping({**read_mapping(args.spec), **overrides(rest)}, where=str(args.spec))

    from rarecot.mixtures.build import build
    from rarecot.mixtures.show import show

    quiet()
    mixture = build(spec)
    mixture.save(args.out)
    manifest = mixture.manifest
    each = "online, in each block of" if spec.online else "fixed,"
    print(
        f"{args.out}: {each} {spec.n} demonstrations, {manifest['n_long']} long "
        f"(p_cot {spec.p_cot} asked, {manifest['p_cot_realised']:.6g} realised); {spec.n_rl} RL prompts, "
        f"{spec.n_test} test problems; sha256 {manifest['sha256'][:12]}"
    )
    if args.show:
        print(show(mixture, args.show))


def overrides(rest: list[str]) -> dict[str, str]:
    """`--key value` and `--key=value` pairs → mapping."""
    words = [part for word in rest for part in (word.split("=", 1) if word.startswith("--") else [word])]
    if len(words) % 2 or not all(word.startswith("--") for word in words[::2]):
        raise ConfigError([f"cannot read {' '.join(rest)}: after the spec, give pairs like `--p_cot 0.1`."])
    return {key.removeprefix("--"): value for key, value in zip(words[::2], words[1::2], strict=True)}


if __name__ == "__main__":
    exit_with(main)
