"""Next-token prediction on a short/long mixture, from scratch or from a checkpoint.

accelerate launch --config_file recipes/accelerate/cpu.yaml recipes/sft.py --config recipes/parity/quick/sft.yaml
… --p_cot 0.4 --learning_rate 1e-3 --run_dir runs/mine     any key of the YAML, the mixture or TRL's SFTConfig
"""

from dataclasses import asdict

from rarecot.errors import exit_with
from rarecot.quiet import quiet
from rarecot.training import environment
from rarecot.training.request import parse


def main() -> None:
    request = parse("sft", __doc__)  # every mistake that can be seen without a model ends here

    environment.prepare(request)

    from rarecot.training import session, sft
    from rarecot.training.run import open_run
    from rarecot.training.text import text_of
    from rarecot.training.trl_config import trl_config
    from rarecot.training.verdict import verdict

    quiet()
    config, options = trl_config(request)
    with config.main_process_first():  # rank 0 makes the directory, and moves another aside, before the others look
        run = open_run(request, {**config.to_dict(), **asdict(options)}, is_main=config.process_index == 0)
    if not session.report_complete(run):
        text = text_of(run, config)  # what does not fit the model is refused here, before it loads
        model, adapter = sft.make_model(request, options, text)
        trainer = sft.make_trainer(config, model, adapter, text, sft.rendered(run.mixture, text))
        session.train(run, trainer, text, constants={})
    if run.is_main:
        print(verdict(run.dir))


if __name__ == "__main__":
    exit_with(main)
