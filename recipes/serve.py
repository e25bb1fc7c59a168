"""A vLLM server for rollouts, for runs with `use_vllm: true` and `vllm_mode: server`.

    python recipes/serve.py --run_dir runs/mine                 the newest NTP checkpoint of a run; log in runs/mine/server.log
    python recipes/serve.py --model CHECKPOINT --port 8000 --log server.log
    python recipes/serve.py --config recipes/parity/quick/grpo.yaml [--key value]       what that recipe would start or go on from

It listens on this machine alone unless --host says otherwise. Stop it with Ctrl-C or SIGTERM.
"""

import os
import subprocess
import sys
from pathlib import Path

from rarecot import checkpoints, model_files, stopping
from rarecot.command_line import Parser
from rarecot.errors import ConfigError, exit_with
from rarecot.sampling.vllm import serving, support
from rarecot.training.request import parse
from rarecot.training.start import model_folder


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--run_dir", type=Path, help="serve its newest checkpoint in sft/, and log to server.log there")
    parser.add_argument("--model", type=Path, help="serve this checkpoint")
    parser.add_argument("--config", help="serve what this recipe's run starts from; further options are the recipe's")
    parser.add_argument("--recipe", choices=("grpo", "reinforce"), default="grpo", help="whose --config it is")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for other nodes")
    parser.add_argument("--port", type=int, default=8000, interval="[1, 65535]")
    parser.add_argument(
        "--dtype", default="auto", help="auto: bfloat16 on a GPU, float32 on a CPU; as the trainer's vllm_dtype"
    )
    parser.add_argument(
        "--max_model_len",
        type=int,
        interval="[1, 1e9]",
        help="prompt and response in tokens; default: the model's positions",
    )
    parser.add_argument("--gpu_memory_utilization", type=float, default=0.9, interval="(0, 1]")
    parser.add_argument("--tensor_parallel_size", type=int, default=1, interval="[1, 1024]")
    parser.add_argument("--log", type=Path, help="write the server's output here too")
    args, rest = parser.parse_known_args()
    problems = [*parser.problems, *support.problems()]
    if rest and not args.config:
        problems.append(f"cannot read '{' '.join(rest)}': only a recipe takes further options (--config).")
    if args.config and args.model:
        problems.append("--config says what to serve, and so does --model: leave one of them out.")
    if args.config:
        given = {word.partition("=")[0] for word in rest}  # a recipe takes nothing twice
        words = [*rest, *(["--run_dir", str(args.run_dir)] if args.run_dir else [])]
        words += [] if "--use_vllm" in given else ["--use_vllm", "true"]
        words += [] if "--vllm_mode" in given else ["--vllm_mode", "server"]
        try:
            request = parse(args.recipe, "", ["--config", args.config, *words])
        except ConfigError as error:
            raise ConfigError([*problems, *error.problems]) from None
        args.run_dir, args.max_model_len = request.run_dir, args.max_model_len or request.tokens_needed
        args.dtype = request.arguments.vllm_dtype if args.dtype == "auto" else args.dtype
        folder = model_folder(request)
    elif (args.run_dir is None) == (args.model is None):
        problems.append("name what to serve: --run_dir, --model or --config, one of them.")
        folder = None
    else:
        folder = checkpoints.resolve(args.model) if args.model else checkpoints.newest(args.run_dir / "sft")
        if folder is None:
            problems.append(
                f"there is no complete checkpoint in {args.model or args.run_dir / 'sft'}. Train one first."
            )
    if not serving.is_free(args.host, args.port):
        problems.append(f"port {args.port} of {args.host} is in use. Choose another --port (and vllm_server_port).")
    if folder:
        problems += model_files.untrusted(folder) + support.model_problems(folder)
    if problems:
        raise ConfigError(problems)

    if not serving.is_loopback(args.host):
        print(
            f"listening on {args.host}: whoever reaches this port may replace the model's weights and run its methods, without a password. Use this on "
            "a network that only your jobs reach."
        )
    log = args.log or (args.run_dir and args.run_dir / "server.log")
    ours = ("run_dir", "model", "config", "recipe", "log")
    command = serving.command(folder, **{k: v for k, v in vars(args).items() if k not in ours})
    print(f"serving {folder} at http://{args.host}:{args.port}" + (f", log in {log}" if log else ""), flush=True)
    environment = {**serving.environment(), **os.environ}
    how = {"start_new_session": True, "preexec_fn": stopping.die_with_parent}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **how) as server:
        sys.exit(serving.follow(server, log))


if __name__ == "__main__":
    exit_with(main)
