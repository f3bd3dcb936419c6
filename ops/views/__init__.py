"""What several commands show of the log: reports, trails and open work."""
