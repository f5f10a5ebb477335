"""What Lightning drives: supervised training with teachers, and pretraining without labels."""
