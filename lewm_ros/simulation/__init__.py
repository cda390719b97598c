"""The simulated robot: clock, camera, joints and a drive that obeys commands."""
