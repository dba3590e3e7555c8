"""The built-in dataset of cartoon faces, whose ground-truth factors are known and can be recognized in videos."""
