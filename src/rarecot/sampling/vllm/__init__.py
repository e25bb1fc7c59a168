"""Everything that knows vLLM: what is installed, engines, servers, the weight probe. Importing this room imports no vLLM."""
