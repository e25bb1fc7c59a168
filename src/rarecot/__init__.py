"""rarecot: what does reinforcement learning add after next-token prediction when long demonstrations are rare?"""

__version__ = "0.1.0"
