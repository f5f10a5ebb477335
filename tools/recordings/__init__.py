"""What a folder of recordings becomes before it is learned from: features, teachers' outputs, augmented copies."""
