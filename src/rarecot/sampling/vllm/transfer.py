"""Weight transfer from a trainer to a vLLM server over gloo: what vLLM's NCCL engine does, where there is no GPU.

What upstream lacks: vLLM 0.32 ships weight transfer for CUDA only (NCCL, IPC). Its engine registry is open, so this is an
engine of ours, registered by `plugin`. Can go when vLLM has one for the CPU. Only vLLM imports this module's engine;
the trainer uses `open_group` and `send`.
"""

import os
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed
from vllm.distributed.utils import stateless_init_torch_distributed_process_group
from vllm.distributed.weight_transfer.base import (
    WeightTransferEngine,
    WeightTransferInitInfo,
    WeightTransferUpdateInfo,
)

from rarecot.sampling.vllm.weights import repack

TIMEOUT = timedelta(seconds=120)  # for the rendezvous and for each tensor


@dataclass
class GlooInitInfo(WeightTransferInitInfo):
    """Where the trainer, rank 0 of the group, waits."""

    master_address: str
    master_port: int
    rank_offset: int
    world_size: int


@dataclass
class GlooUpdateInfo(WeightTransferUpdateInfo):
    """The tensors that will come, in this order."""

    names: list[str]
    dtype_names: list[str]
    shapes: list[list[int]]


class GlooEngine(WeightTransferEngine[GlooInitInfo, GlooUpdateInfo]):
    """Receives each parameter by a broadcast and has the model packed anew with them."""

    init_info_cls = GlooInitInfo
    update_info_cls = GlooUpdateInfo
    supports_draft_weight_update = False

    def init_transfer_engine(self, init_info: GlooInitInfo) -> None:
        rank = self.parallel_config.rank + init_info.rank_offset
        self.group = open_group(init_info.master_address, init_info.master_port, rank, init_info.world_size)

    def start_weight_update(self) -> None:
        """Nothing to prepare."""

    def finish_weight_update(self) -> None:
        """Nothing to finish."""

    def update_weights(self, update_info: dict) -> None:
        # The base class also synchronises the accelerator, and there is none.
        self.receive_weights(self.parse_update_info(update_info))

    def receive_weights(self, update_info: GlooUpdateInfo) -> None:
        repack(self.vllm_config, self.model, self._received(update_info))

    def _received(self, update_info: GlooUpdateInfo) -> Iterator[tuple[str, torch.Tensor]]:
        for name, dtype, shape in zip(update_info.names, update_info.dtype_names, update_info.shapes, strict=True):
            tensor = torch.empty(shape, dtype=getattr(torch, dtype))
            _broadcast(self.group, tensor)
            yield name, tensor

    def shutdown(self) -> None:
        self.group = None


AGENT_STORE = "TORCHELASTIC_USE_AGENT_STORE"


def open_group(address: str, port: int, rank: int, world_size: int) -> distributed.ProcessGroup:
    """A gloo group beside torch's default one; returns when all of its members are there.

    Raises:
        ConnectionError: they are not within `TIMEOUT`.
    """
    # A launcher's workers take its store for theirs, and would wait for one here that nobody opens.
    launcher = os.environ.pop(AGENT_STORE, None)
    try:
        # Left alone, torch would wait for the others at every address of this machine.
        waiting = socket.create_server((address, port), family=_family(address, port)) if rank == 0 else None
        return stateless_init_torch_distributed_process_group(
            address, port, rank, world_size, backend="gloo", timeout=TIMEOUT, listen_socket=waiting
        )
    except (RuntimeError, OSError) as error:
        raise ConnectionError(f"gloo at {address}:{port}: {error}") from error
    finally:
        if launcher is not None:
            os.environ[AGENT_STORE] = launcher


def _family(address: str, port: int) -> socket.AddressFamily:
    return socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0][0]


def send(group: distributed.ProcessGroup, named: Iterable[tuple[str, torch.Tensor]]) -> None:
    """Broadcast parameters from rank 0, in order. Raises ConnectionError when another member is gone."""
    for _, tensor in named:
        _broadcast(group, tensor.detach().cpu().contiguous())


def _broadcast(group: distributed.ProcessGroup, tensor: torch.Tensor) -> None:
    options = distributed.BroadcastOptions()
    options.rootRank = 0
    try:
        group.broadcast([tensor], options).wait(TIMEOUT)
    except RuntimeError as error:
        raise ConnectionError(f"gloo broadcast: {error}") from error
