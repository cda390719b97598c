"""Programs of strangers and what they are made of: drivers, teleoperation, the stock recorder."""
