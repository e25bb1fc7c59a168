"""The paper's theory as functions. Imports nothing of the rest."""
