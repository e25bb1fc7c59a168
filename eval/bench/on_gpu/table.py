"""The rows as a Markdown table, ready for a README."""

from typing import Any

from row import amount

HEAD = ["what", "ours", "TRL, or the peak", "ratio", "promised", "remarks"]


def table(found: dict[str, Any]) -> str:
    """A sentence on the machine, the table, and what was left out.

    Args:
        found: as the JSON has it: machine, rows, left_out.
    """
    machine, packages = found["machine"], found["machine"]["packages"]
    peak = f"bf16 matmul {machine['peak_measured'] / 1e12:.3g} TFLOP/s measured"
    if machine.get("peak_sheet"):
        peak += f", {machine['peak_sheet'] / 1e12:.0f} by its data sheet"
    device = machine["device"]
    if "memory_gib" in machine:
        device += f", {machine['memory_gib']} GiB, driver {machine['driver']}, CUDA {machine['cuda']}"
    names = ("torch", "transformers", "trl", "accelerate", "vllm")
    versions = ", ".join(f"{name} {packages[name]}" for name in names if name in packages)
    lines = [f"{device}; {peak}; {versions}; commit {packages['commit']}."]
    lines += ["", f"| {' | '.join(HEAD)} |", "|" + "---|" * len(HEAD)]
    for row in found["rows"]:
        low, high = row["ratio_range"]
        kept = {None: "", True: "", False: " (not kept)"}[row["kept"]]
        cells = [f"`{row['name']}`, {row['unit']}", amount(row["ours"]), amount(row["other"])]
        cells += [
            f"{row['ratio']:.2f} [{low:.2f}, {high:.2f}]",
            f"{row['promise']}{kept}",
            f"{row['repeats']} turns{'; ' if row['note'] else ''}{row['note']}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, *(f"\nNot measured: {said}." for said in found["left_out"])]) + "\n"
