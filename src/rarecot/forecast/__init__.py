"""What RL is expected to do, from what was measured before it; whether it comes; and what it bought."""
