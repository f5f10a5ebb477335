"""Published networks that say what unlabelled music holds, and that FluxBeat is measured beside.

They are computed in plain PyTorch from their weights, which are not part of FluxBeat: every teacher takes the folder
that they lie in.
"""
