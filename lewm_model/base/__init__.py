"""What everything else stands on: settings, YAML, files that ship, devices, processes."""
