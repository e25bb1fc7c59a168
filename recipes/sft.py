"""Next-token prediction on a short/long mixture, from scratch or from a checkpoint.

accelerate launch --config_file recipes/accelerate/cpu.yaml recipes/sft.py --config recipes/parity/quick/sft.yaml
… --p_cot 0.4 --learning_rate 1e-3 --run_dir runs/mine     any key of the YAML, the mixture or TRL's SFTConfig
"""

from rarecot.errors import exit_with
from rarecot.quiet import quiet
from rarecot.training import arguments


def main() -> None:
    request = arguments.parse("sft", __doc__)  # every mistake that can be seen without a model ends here

    from rarecot.training import session, sft
    from rarecot.training.run import open_run
    from rarecot.training.trl_config import trl_config
    from rarecot.training.verdict import verdict

    quiet()
    config = trl_config(request)
    run = open_run(request, config.to_dict(), is_main=config.process_index == 0)
    if not session.report_complete(run):
        model, tokenizer = sft.model_and_tokenizer(request)
        trainer = sft.make_trainer(config, model, tokenizer, sft.rendered(run.mixture, tokenizer))
        session.train(run, trainer, tokenizer, constants={})
    if run.is_main:
        print(verdict(run.dir))


if __name__ == "__main__":
    exit_with(main)
