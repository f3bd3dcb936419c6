"""Generated wound pictures: training data where no clinical picture can be had, and a test instrument with known
answers."""
