"""What a recording holds for one robot: streams by topic and clock, then control steps.

`streams` reads them, `synchronize` puts them on the control grid, `describe_bag` and
`suggest_robot` say what is there before anybody has described the robot.
"""
