"""What a trained model knows: probes, surprise, straightness, horizon, distances, pictures.

Diagnosis only; nothing here is in the control loop. `run.py` puts the parts together, `report.py`
writes them down. What needs a simulator is handed in (`lewm_sim/perturb.py` has it).
"""
