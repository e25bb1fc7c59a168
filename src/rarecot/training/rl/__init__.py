"""RL on a mixture's prompts: GRPO, REINFORCE, STaR; rollouts, the loss's weighing, memory, and vLLM's part in it."""
