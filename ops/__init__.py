"""Running Vigía Streams: command line, embedded services, lag exporter, dashboards, load, chaos and benchmark."""
