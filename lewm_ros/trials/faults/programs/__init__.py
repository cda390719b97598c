"""What runs beside or in the place of our nodes: faulty ones, and processes that do harm."""
