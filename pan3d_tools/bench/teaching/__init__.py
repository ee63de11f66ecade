"""The benchmark of objects that are taught by showing them: scenes, figures, and how the cues' weights are found."""
