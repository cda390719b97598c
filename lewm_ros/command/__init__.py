"""Action chunks in, robot commands out. Light: it must outlive the planner."""
