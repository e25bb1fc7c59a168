"""REINFORCE with verified rewards on the RL prompts of a mixture, from an NTP checkpoint.

    accelerate launch --config_file recipes/accelerate/cpu.yaml recipes/reinforce.py --config recipes/parity/quick/reinforce.yaml
    … --baseline group --reward_funcs chain     any key of the YAML or of TRL's GRPOConfig

Without --model_name_or_path it starts from the newest checkpoint in RUN_DIR/sft.
"""

from pathlib import Path

from rarecot import stopping
from rarecot.command_line import lasting_imports
from rarecot.errors import exit_with
from rarecot.training import environment
from rarecot.training.request import parse
from rarecot.training.start import make_start


def main() -> None:
    stopping.listen()
    request = parse("reinforce", __doc__)  # every mistake that can be seen without a model ends here
    make_start(request, Path(__file__).with_name("sft.py"))
    environment.prepare(request)

    with lasting_imports():
        from rarecot.training.launch import launch
        from rarecot.training.rl import reinforce

    launch(request, reinforce.train)


if __name__ == "__main__":
    exit_with(main)
