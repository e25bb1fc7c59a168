"""Predictions: which layout a GRPO round should have on some number of GPUs, what it holds in memory, how long it takes.

Nothing here was measured. The sizes of weights, gradients and AdamW are exact; times are rooflines at assumed efficiencies:

- Training state: 16 bytes a parameter (`memory_plan`). ddp: all of it on each GPU, and torch's gradient buckets, a copy of 4 bytes.
  zero2: 2 + 14/G bytes: DeepSpeed keeps a bfloat16 copy on each GPU and divides gradients, float32 weights and moments (Rajbhandari
  et al. 2020, arXiv 1910.02054, figure 1). fsdp2: 16/G bytes, and what is gathered at once: the embeddings, two layers and a
  layer's gradients in bfloat16 (Zhao et al. 2023, arXiv 2304.11277). ZeRO-3 divides the same.
- Activations: Korthikanti et al. 2022, with every layer recomputed, and one layer whole. Logits are computed in chunks and left out.
- Generation: each decoding step reads the weights and all running responses' keys and values once, at `decode_share` of the memory's
  bandwidth, or computes 2·N FLOPs a response (Pope et al. 2022, arXiv 2211.05102), and takes `step_seconds` beside. A synchronous
  round waits for its longest response, which is as long as allowed.
- Training: 2·N FLOPs a token and forward pass and 2·layers·width·length for causal attention (Chowdhery et al. 2022, arXiv 2204.02311,
  appendix B); five forward passes' worth: the old log-probabilities, forward, backward (two), and the recomputation. They run at `mfu`
  of the peak (Llama 3 reports 0.38–0.43, arXiv 2407.21783, table 4), or as long as their communication takes, whichever is more.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path

from rarecot.documents import read_json
from rarecot.errors import ConfigError
from rarecot.training.rl.memory_plan import GIB, MemoryPlan, activation_bytes, cache_bytes

SHARDINGS = ("ddp", "zero2", "fsdp2")
PASSES = 5  # of a forward pass's FLOPs: old log-probabilities, forward, backward (2), recomputation
USABLE = 0.9  # of a GPU's memory; CUDA, NCCL and fragmentation take the rest
FEW = 16  # responses that an engine must hold at once, to be worth its weights
ALIKE = 1.02  # times as long: no difference that these predictions can tell
NOTICED = 1.0  # seconds of a round that one would miss
WORTH = 1.5  # times faster, from which another engine is worth its trouble
FP32, BF16 = 4, 2


@dataclass(frozen=True)
class Model:
    """A Llama-shaped decoder.

    Args:
        name: for the table.
        hidden: width of a layer.
        layers: of attention and MLP.
        heads: of queries.
        kv_heads: of keys and values.
        head_dim: width of a head.
        intermediate: width of the gated MLP.
        vocabulary: tokens.
        tied: the output matrix is the embedding.
    """

    name: str
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocabulary: int
    tied: bool

    @property
    def block(self) -> int:
        """Parameters of a layer: q, k, v, o; gate, up, down; two norms."""
        attention = 2 * self.hidden * self.head_dim * (self.heads + self.kv_heads)
        return attention + 3 * self.hidden * self.intermediate + 2 * self.hidden

    @property
    def embeddings(self) -> int:
        """Parameters of the embedding and the output matrix."""
        return self.vocabulary * self.hidden * (1 if self.tied else 2)

    @property
    def parameters(self) -> int:
        """All of them."""
        return self.layers * self.block + self.embeddings + self.hidden

    def cache(self, tokens: int) -> int:
        """Bytes of keys and values in bfloat16."""
        return cache_bytes(tokens, self.layers, self.kv_heads * self.head_dim, BF16)

    def forward(self, length: int) -> float:
        """FLOPs a token of a sequence of `length` tokens, each of which looks back at half of it on average."""
        multiplied = self.parameters - (0 if self.tied else self.embeddings)  # the input's embeddings are looked up
        return 2 * multiplied + 2 * self.layers * self.heads * self.head_dim * length


# Public config.json of meta-llama/Llama-3.2-1B, -3B and Llama-3.1-8B.
MODELS = {
    "llama-3.2-1b": Model("Llama-3.2-1B", 2048, 16, 32, 8, 64, 8192, 128_256, True),
    "llama-3.2-3b": Model("Llama-3.2-3B", 3072, 28, 24, 8, 128, 8192, 128_256, True),
    "llama-3.1-8b": Model("Llama-3.1-8B", 4096, 32, 32, 8, 128, 14_336, 128_256, False),
}


@dataclass(frozen=True)
class Machine:
    """GPUs and their links; the defaults are NVIDIA's data sheet of an H100 SXM 80 GB.

    Args:
        gpu_memory_gib: of a GPU, as its driver reports it.
        gpus_per_node: joined by NVLink.
        flops: dense bfloat16, at best, a second.
        bandwidth: of a GPU's memory, bytes a second.
        nvlink: of a GPU in one direction, bytes a second.
        network: of a GPU between nodes in one direction, bytes a second (400 Gb/s).
        pcie: to main memory, bytes a second, where a sleeping vLLM's weights go.
        decode_share: of the bandwidth that decoding reaches; assumed.
        mfu: share of `flops` that training and prefill reach; assumed.
        step_seconds: of a decoding step beside reading: launching, sampling; assumed.
    """

    gpu_memory_gib: float = 79.0
    gpus_per_node: int = 8
    flops: float = 989e12
    bandwidth: float = 3.35e12
    nvlink: float = 450e9
    network: float = 50e9
    pcie: float = 50e9
    decode_share: float = 0.6
    mfu: float = 0.4
    step_seconds: float = 0.003

    def link(self, gpus: int) -> float:
        """Bytes a second between this many GPUs."""
        return self.nvlink if gpus <= self.gpus_per_node else self.network


@dataclass(frozen=True)
class Round:
    """What a GRPO round samples and trains on.

    Args:
        prompts: different ones.
        generations: responses a prompt.
        tokens: of the longest response, to which all are padded.
        mean_tokens: of a response on average; only an engine that does not wait for the longest gains by it.
        prompt_tokens: of a prompt.
        micro_batch: responses in one backward pass on a GPU.
    """

    prompts: int = 512
    generations: int = 8
    tokens: int = 512
    mean_tokens: int = 256
    prompt_tokens: int = 256
    micro_batch: int = 8

    @property
    def completions(self) -> int:
        """Responses of a round."""
        return self.prompts * self.generations

    @property
    def length(self) -> int:
        """Tokens of a prompt and its response."""
        return self.prompt_tokens + self.tokens


@dataclass(frozen=True)
class Layout:
    """A way to run a round.

    Args:
        sharding: of `SHARDINGS`.
        gpus: in all.
        servers: GPUs that only generate; 0: vLLM sleeps and wakes on the GPUs that train.
        tensor_parallel: GPUs that share one vLLM engine.
    """

    sharding: str
    gpus: int
    servers: int = 0
    tensor_parallel: int = 1

    @property
    def trainers(self) -> int:
        """GPUs that train."""
        return self.gpus - self.servers


@dataclass(frozen=True)
class Prediction:
    """What a layout is expected to hold and to take.

    Args:
        layout: which.
        training_gpu: memory of a GPU that trains, and of vLLM on it.
        server_gpu: bytes of a GPU that only generates; 0: there is none.
        running: responses that an engine decodes at once.
        generate: seconds.
        train: seconds.
        sync: seconds until vLLM has the new weights, its sleeping and waking included.
        overlapped: seconds of the round if the next one were generated meanwhile, on the best division of the same GPUs.
        apart: seconds of the round if vLLM had a node of its own; None where there is no node to spare or it does not fit.
    """

    layout: Layout
    training_gpu: MemoryPlan
    server_gpu: int
    running: int
    generate: float
    train: float
    sync: float
    overlapped: float = 0.0
    apart: float | None = None

    @property
    def seconds(self) -> float:
        """Of a synchronous round."""
        return self.generate + self.sync + self.train


def training_bytes(model: Model, sharding: str, gpus: int) -> int:
    """Weights, gradients and AdamW on each of `gpus` GPUs that train."""
    n = model.parameters
    if gpus == 1:
        return 16 * n
    if sharding == "ddp":
        return (16 + FP32) * n
    if sharding == "zero2":
        return 2 * n + math.ceil(14 * n / gpus)
    return math.ceil(16 * n / gpus) + BF16 * (model.embeddings + 3 * model.block)


def memory(model: Model, machine: Machine, work: Round, layout: Layout) -> tuple[MemoryPlan, int, int] | None:
    """What a GPU that trains holds, bytes of a GPU that only generates, and the responses that an engine decodes at once; None where
    it does not fit."""
    usable = int(machine.gpu_memory_gib * GIB * USABLE)
    training = training_bytes(model, layout.sharding, layout.trainers)
    batch = min(work.micro_batch, math.ceil(work.completions / layout.trainers)) * work.length
    activations = activation_bytes(batch, model.layers, model.hidden, recomputed=True)
    activations += activation_bytes(batch, 1, model.hidden, recomputed=False)
    engine = math.ceil(BF16 * model.parameters / layout.tensor_parallel)
    engines = (layout.servers or layout.gpus) // layout.tensor_parallel
    local = math.ceil(work.completions / engines)
    a_response = math.ceil(model.cache(work.length) / layout.tensor_parallel)
    room = usable - engine - (0 if layout.servers else training)
    running = min(local, room // a_response)
    if running < min(local, FEW):
        return None
    cache = running * a_response
    here = (0, 0) if layout.servers else (engine, cache)
    completions = work.completions
    sizes = (work.prompts, completions, completions * work.length, 1, model.parameters, training, activations)
    plan = MemoryPlan(*sizes, *here, reserved=0, takes_turns=not layout.servers)
    return (plan, engine + cache if layout.servers else 0, running) if plan.peak <= usable else None


def generation_seconds(model: Model, machine: Machine, work: Round, layout: Layout, running: int) -> float:
    """Of all responses, by the engines of a layout that decode `running` at once."""
    shared = layout.tensor_parallel
    local = math.ceil(work.completions / ((layout.servers or layout.gpus) // shared))
    context = work.prompt_tokens + work.tokens // 2
    read = BF16 * model.parameters + running * model.cache(context)
    computed = running * model.forward(2 * context) / machine.flops / machine.mfu  # each token looks back at all of it
    step = max(read / (machine.bandwidth * machine.decode_share), computed) / shared + machine.step_seconds
    prefill = local / work.generations * work.prompt_tokens * model.forward(work.prompt_tokens)
    return math.ceil(local / running) * work.tokens * step + prefill / (shared * machine.flops * machine.mfu)


def training_seconds(model: Model, machine: Machine, work: Round, layout: Layout) -> float:
    """Of one optimizer step on all responses: computing, or communicating if that takes longer."""
    gpus, n = layout.trainers, model.parameters
    local = math.ceil(work.completions / gpus)
    compute = local * work.length * PASSES * model.forward(work.length) / (machine.flops * machine.mfu)
    steps = math.ceil(local / work.micro_batch)
    sent = {
        "ddp": 2 * FP32 * n,  # one all-reduce
        "zero2": steps * BF16 * n + BF16 * n,  # gradients of every micro-batch, then weights
        "fsdp2": steps * (3 * BF16 + FP32) * n,  # weights for three passes, gradients in float32
    }[layout.sharding]
    return max(compute, sent * (gpus - 1) / gpus / machine.link(gpus))


def sync_seconds(model: Model, machine: Machine, layout: Layout) -> float:
    """Until vLLM has the new weights: gathered where they are divided; then sent to the servers, or woken up with."""
    n = model.parameters
    gathered = FP32 * n / machine.link(layout.trainers) if layout.sharding == "fsdp2" and layout.trainers > 1 else 0.0
    passed_on = FP32 * n / machine.link(layout.gpus) if layout.servers else 2 * BF16 * n / machine.pcie
    return gathered + passed_on


def predict(model: Model, machine: Machine, work: Round, layout: Layout) -> Prediction | None:
    """A layout's memory and times; None where it does not fit."""
    held = memory(model, machine, work, layout)
    if held is None:
        return None
    plan, server, running = held
    generate = generation_seconds(model, machine, work, layout, running)
    train, sync = training_seconds(model, machine, work, layout), sync_seconds(model, machine, layout)
    return Prediction(layout, plan, server, running, generate, train, sync)


def layouts(gpus: int, machine: Machine) -> list[Layout]:
    """Those that our launchers know: vLLM beside training, or on a node of its own; an engine within a node."""
    shares = [2**i for i in range(machine.gpus_per_node.bit_length()) if 2**i <= min(gpus, machine.gpus_per_node)]
    servers = [0, machine.gpus_per_node] if gpus > machine.gpus_per_node else [0]
    shardings = SHARDINGS if gpus > 1 else ("ddp",)
    return [
        Layout(sharding, gpus, apart, share)
        for sharding in shardings
        for apart in servers
        for share in shares
        if (apart or gpus) % share == 0
    ]


def recommend(model: Model, machine: Machine, work: Round, gpus: int) -> Prediction | None:
    """The layout to take among those that fit; None where none does. Of those about as fast as the fastest it is the simplest (in the
    order of `SHARDINGS`) whose training needs no more than half of the memory, else the one that needs least."""
    fitting: dict[tuple[str, int], Prediction] = {}
    for layout in layouts(
        gpus, machine
    ):  # an engine is divided no further than it must be: what that costs is not predicted
        kind = layout.sharding, layout.servers
        if kind not in fitting and (made := predict(model, machine, work, layout)) is not None:
            fitting[kind] = made
    if not fitting:
        return None
    fastest = min(found.seconds for found in fitting.values())
    alike = [found for found in fitting.values() if found.seconds <= ALIKE * fastest]
    half = machine.gpu_memory_gib * GIB / 2
    roomy = [found for found in alike if found.training_gpu.training + found.training_gpu.activations <= half]
    best = roomy[0] if roomy else min(alike, key=lambda found: found.training_gpu.training)
    apart = [found.seconds for found in fitting.values() if found.layout.servers]
    overlapped = overlapped_seconds(model, machine, work, best)
    return replace(best, overlapped=overlapped, apart=min(apart) if apart else None)


def overlapped_seconds(model: Model, machine: Machine, work: Round, best: Prediction) -> float:
    """The round of an engine that generates the next round while it trains on this one and starts a response where one ended, on the
    best division of the same GPUs between the two: the longer of both, and the new weights' way. At most the synchronous round's."""
    gpus, found = best.layout.gpus, [best.seconds]
    share = best.layout.tensor_parallel
    for sharding in SHARDINGS:
        for servers in range(share, gpus, share):
            made = predict(model, machine, work, Layout(sharding, gpus, servers, share))
            if made is not None:
                found.append(max(made.generate * work.mean_tokens / work.tokens, made.train) + made.sync)
    return min(found)


def read_model(folder: Path) -> Model:
    """The shape of a Llama-like model from its config.json.

    Raises:
        ConfigError: there is none, or it lacks a size.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise ConfigError(
            [f"{folder} holds no config.json. Name a folder with a model (a hub id is not fetched here)."]
        )
    config = read_json(path, "Restore it, or name another folder.")
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size")
    if lacking := [name for name in names if not isinstance(config.get(name), int)]:
        raise ConfigError(
            [f"{path} names no {', '.join(lacking)}, so the model's size is not known. Use a Llama-like model."]
        )
    experts = ("num_local_experts", "num_experts", "n_routed_experts")
    if mixed := [name for name in experts if (config.get(name) or 1) > 1]:
        raise ConfigError(
            [f"{path} is of a mixture of experts ({mixed[0]}), which is not predicted here. Use a dense model."]
        )
    hidden, layers, heads, intermediate, vocabulary = (config[name] for name in names)
    sizes = (config.get("num_key_value_heads") or heads, config.get("head_dim") or hidden // heads)
    tied = bool(config.get("tie_word_embeddings", False))
    return Model(folder.resolve().name, hidden, layers, heads, *sizes, intermediate, vocabulary, tied)


def problems_with(machine: Machine, work: Round, gpus: list[int]) -> list[str]:
    """What is wrong with the numbers that were asked for, a sentence each."""
    values = {**vars(machine), **vars(work)}
    found = [f"{name} is {value:g}: it must be above 0." for name, value in values.items() if not value > 0]
    found += [
        f"{name} is {values[name]:g}: it is a share, so at most 1."
        for name in ("mfu", "decode_share")
        if values[name] > 1
    ]
    if work.mean_tokens > work.tokens:
        found.append(f"mean_tokens is {work.mean_tokens}, above tokens, {work.tokens}, which is the longest. Lower it.")
    for count in gpus:
        if count < 1:
            found.append(f"gpus has {count}: it must be 1 or more.")
        elif count > machine.gpus_per_node > 0 and count % machine.gpus_per_node:
            found.append(
                f"gpus has {count}, which is no number of whole nodes of {machine.gpus_per_node}. Use a multiple."
            )
    return found


def table(models: list[Model], machine: Machine, work: Round, gpus: list[int]) -> str:
    """Markdown: the assumptions, a row for each model and number of GPUs, and from which on another engine pays."""
    lines = [
        f"Predicted, not measured: a round of {work.prompts} prompts × {work.generations} responses of up to {work.tokens} tokens "
        f"({work.mean_tokens} on average) to prompts of {work.prompt_tokens}; GPUs of {machine.gpu_memory_gib:g} GiB, "
        f"{machine.flops / 1e12:.0f} TFLOP/s and {machine.bandwidth / 1e12:.2f} TB/s, {machine.gpus_per_node} a node; training at "
        f"{machine.mfu:.0%} of the peak, decoding at {machine.decode_share:.0%} of the bandwidth.",
        "",
        "| model | GPUs | layout | GiB a GPU: training + activations, vLLM weights + cache → peak | tokens generated/s | tokens trained/s, padding included "
        "| seconds: generate + sync + train = round | vLLM on its own node | overlapped |",
        "|---|--:|---|---|--:|--:|---|--:|--:|",
    ]
    found = {(m.name, g): recommend(m, machine, work, g) for m in models for g in gpus}
    for (name, count), made in found.items():
        lines.append(_row(name, count, made, work))
    lines += ["", *(_verdict(m, machine, gpus, {g: found[m.name, g] for g in gpus}) for m in models)]
    return "\n".join(lines)


def _row(name: str, gpus: int, made: Prediction | None, work: Round) -> str:
    if made is None:
        return f"| {name} | {gpus} | does not fit: LoRA, or more GPUs | – | – | – | – | – | – |"
    plan, layout = made.training_gpu, made.layout
    place = f"vLLM on {layout.servers} of its own" if layout.servers else "vLLM colocated, asleep in training"
    split = f", tensor parallel {layout.tensor_parallel}" if layout.tensor_parallel > 1 else ""
    engine = "" if layout.servers else f", {plan.engine / GIB:.1f} + {plan.cache / GIB:.1f}"
    beside = f"; server {made.server_gpu / GIB:.1f}" if layout.servers else ""
    held = f"{plan.training / GIB:.1f} + {plan.activations / GIB:.1f}{engine} → {plan.peak / GIB:.1f}{beside}"
    seconds = f"{made.generate:.1f} + {made.sync:.1f} + {made.train:.1f} = {made.seconds:.1f}"
    rates = [work.completions * work.mean_tokens / made.generate, work.completions * work.length / made.train]
    sharding = layout.sharding if gpus > 1 else "one process"
    return (
        f"| {name} | {gpus} | {sharding}; {place}{split} | {held} | {rates[0]:,.0f} | {rates[1]:,.0f} | {seconds} "
        f"| {'–' if made.apart is None else f'{made.apart:.1f} s'} | {made.seconds / made.overlapped:.2f}× |"
    )


def _verdict(model: Model, machine: Machine, gpus: list[int], found: dict[int, Prediction | None]) -> str:
    """From how many GPUs on a dedicated engine pays, and why: a line for the list under the table."""
    fitting = {count: made for count, made in sorted(found.items()) if made is not None}
    if not fitting:
        whole = BF16 * model.parameters / GIB
        node = machine.gpu_memory_gib * machine.gpus_per_node * USABLE
        why = (
            f"vLLM's weights alone, {whole:.0f} GiB, exceed a node, and no launcher here divides an engine over nodes"
            if whole > node
            else "nothing fits on so few GPUs"
        )
        return f"- {model.name}: {why}."
    paying = [
        count
        for count, made in fitting.items()
        if made.seconds >= WORTH * made.overlapped and made.seconds - made.overlapped >= NOTICED
    ]
    last, most = max(fitting.items())
    if last == 1:
        return f"- {model.name}: one GPU generates and trains in turn; an engine that overlaps both needs more of them."
    waiting = (most.generate + most.sync) / most.seconds
    shares = f"on {last} GPUs {waiting:.0%} of a round is generation and sync, in which nothing trains"
    gain = f"{most.seconds / most.overlapped:.2f}×"
    if not paying:
        return f"- {model.name}: up to {last} GPUs this trainer is enough; {shares}, and overlapping both would gain {gain}."
    return (
        f"- {model.name}: from {paying[0]} GPUs on a dedicated engine pays: a round would be {WORTH:g} times as fast or more if it "
        f"were generated while the last one trains and did not wait for its longest response ({shares}; {gain})."
    )
