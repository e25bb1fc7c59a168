"""Next-token prediction on a short/long mixture, from scratch or from a checkpoint.

accelerate launch --config_file recipes/accelerate/cpu.yaml recipes/sft.py --config recipes/parity/quick/sft.yaml
… --p_cot 0.4 --learning_rate 1e-3 --run_dir runs/mine     any key of the YAML, the mixture or TRL's SFTConfig
"""

from rarecot import stopping
from rarecot.command_line import lasting_imports
from rarecot.errors import exit_with
from rarecot.training import environment
from rarecot.training.request import parse


def main() -> None:
    stopping.listen()
    request = parse("sft", __doc__)  # every mistake that can be seen without a model ends here
    environment.prepare(request)

    with lasting_imports():
        from rarecot.training import sft
        from rarecot.training.launch import launch

    launch(request, sft.train)


if __name__ == "__main__":
    exit_with(main)
