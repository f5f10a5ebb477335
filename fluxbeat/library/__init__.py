"""Whole folders of music: every sound file analysed once, remembered by its content, and laid out as one table."""
