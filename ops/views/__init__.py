"""Output that several commands share: audit reports, trails of cases, and the list of open reviews."""
