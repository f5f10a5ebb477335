"""How good a checkpoint is: test music, answers, measures, peers, and the protocol that puts them together."""
