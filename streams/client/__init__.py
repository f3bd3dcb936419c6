"""For producers and consumers of case events and escalations: no Faust needed."""
