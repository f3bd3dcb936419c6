"""Which model version judges which picture, and the orders that change it while workers run."""
