"""A recipe whose weights FSDP2 or DeepSpeed shards over processes on the CPU: `accelerate launch … sharded_on_cpu.py STAGE --key value …`.
Run by tests.

accelerate falls back to plain data parallelism where there is no GPU; FSDP2 and DeepSpeed themselves run over gloo.
"""

import importlib
import sys

from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType

from rarecot.errors import exit_with
from rarecot.training import environment
from rarecot.training.request import parse

stage = sys.argv.pop(1)
made = AcceleratorState.__init__


def sharded(self, *args, fsdp_plugin=None, deepspeed_plugin=None, **kwargs) -> None:
    made(self, *args, fsdp_plugin=fsdp_plugin, deepspeed_plugin=deepspeed_plugin, **kwargs)
    if self.distributed_type != DistributedType.MULTI_CPU:
        return
    if fsdp_plugin is not None:
        self.distributed_type, self.fsdp_plugin = DistributedType.FSDP, fsdp_plugin
    if deepspeed_plugin is not None:
        import deepspeed

        deepspeed_plugin.set_mixed_precision("no")
        deepspeed_plugin.select(_from_accelerator_state=True)
        self.distributed_type, self.deepspeed_plugins = DistributedType.DEEPSPEED, deepspeed_plugin
        deepspeed.init_distributed(dist_backend="gloo")
    PartialState._shared_state["distributed_type"] = self.distributed_type


def main() -> None:
    AcceleratorState.__init__ = sharded
    request = parse(stage, __doc__)
    environment.prepare(request)

    from rarecot.training.launch import launch

    launch(request, importlib.import_module("rarecot.training." + {"sft": "sft"}.get(stage, f"rl.{stage}")).train)


if __name__ == "__main__":
    exit_with(main)
