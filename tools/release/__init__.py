"""From finished runs to the checkpoints that are shipped, with their cards."""
