"""How each of TRL's losses weighs tokens and sequences: to be named beside every curve (PAPER §5).

For a response of L tokens with advantage A, the weight of one token's log-probability gradient is A times:
"""

LOSS_NORMALISATION = {
    "grpo": "grpo: 1/L (mean over a response's tokens, then over responses; long responses weigh less a token)",
    "bnpo": "bnpo: 1/(tokens of the batch)",
    "dapo": "dapo: 1/(tokens of the generation batch)",
    "cispo": "cispo: 1/(tokens of the generation batch), ratio clipped",
    "vespo": "vespo: 1/(tokens of the generation batch), shaped ratio",
    "dr_grpo": "dr_grpo: 1/max_completion_length (a constant: whole responses weigh the same, sequence level)",
    "luspo": "luspo: 1 (sum over a response's tokens, mean over responses: sequence level)",
    "sapo": "sapo: 1/L, soft-gated ratio",
}

SEQUENCE_LEVEL = ("dr_grpo", "luspo")  # whole responses weigh the same, as the recursion of the odds assumes
KEPT_RESPONSES = "star: cross-entropy of the kept responses, 1/(tokens of the batch)"


def describe(loss_type: str, scale_rewards: str) -> str:
    """One phrase for records and figures: the loss normalisation and how rewards were scaled."""
    return f"{LOSS_NORMALISATION.get(loss_type, loss_type)}; rewards scaled by {scale_rewards}"
