"""How good models are on recordings: a catalogue, answers, peers beside them, measures, and one report of all."""
