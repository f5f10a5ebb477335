"""Training and evaluation: data sets, augmentation, losses, tasks. Nothing here is imported when the app runs."""
