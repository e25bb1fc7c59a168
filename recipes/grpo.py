"""GRPO with verified rewards on the RL prompts of a mixture, from an NTP checkpoint.

    accelerate launch --config_file recipes/accelerate/cpu.yaml recipes/grpo.py --config recipes/parity/quick/grpo.yaml
    … --learning_rate 3e-5 --reward_funcs chain --temperature 0.8     any key of the YAML or of TRL's GRPOConfig

Without --model_name_or_path it starts from the newest checkpoint in RUN_DIR/sft.
"""

from dataclasses import asdict
from pathlib import Path

from rarecot.errors import exit_with
from rarecot.quiet import quiet
from rarecot.training import environment
from rarecot.training.request import parse
from rarecot.training.start import make_start


def main() -> None:
    request = parse("grpo", __doc__)  # every mistake that can be seen without a model ends here
    make_start(request, Path(__file__).with_name("sft.py"))
    environment.prepare(request)

    from rarecot.training import session
    from rarecot.training.rl import grpo
    from rarecot.training.run import open_run
    from rarecot.training.text import text_of
    from rarecot.training.trl_config import trl_config
    from rarecot.training.verdict import verdict

    quiet()
    config, options = trl_config(request)
    with config.main_process_first():  # rank 0 makes the directory, and moves another aside, before the others look
        run = open_run(request, {**config.to_dict(), **asdict(options)}, is_main=config.process_index == 0)
    if not session.report_complete(run):
        text, constants = text_of(run, config), grpo.constants(config)
        grpo.preflight(run, config, text)
        model, adapter = grpo.make_model(request, options)
        trainer = grpo.make_trainer(run, config, model, adapter, text, constants)
        session.train(run, trainer, text, constants)
    if run.is_main:
        print(verdict(run.dir))


if __name__ == "__main__":
    exit_with(main)
