"""What the paper reports of its models, to stand beside what is measured here.

Source: LeWorldModel, arXiv 2603.19312. Of PLDM and DINO-WM on Cube only the paper's overall
numbers are here.
"""

from __future__ import annotations

from typing import Any

from lewm_model.bundles.questions import QUESTIONS

CAUTION = ('Values of the paper stand beside ours for orientation. Tasks, pictures, model sizes '
           'and data differ, so a difference says nothing about who is better.')
# quantity, model, linear MSE and r, MLP MSE and r; MSE of standardised targets
PROBES = (
    ('Push-T agent location', 'LeWM', '.052', '.974', '.004', '.998'),
    ('Push-T agent location', 'PLDM', '.090', '.955', '.014', '.993'),
    ('Push-T agent location', 'DINO-WM', '1.888', '.977', '.003', '.999'),
    ('Push-T block location', 'LeWM', '.029', '.986', '.001', '.999'),
    ('Push-T block location', 'PLDM', '.122', '.938', '.011', '.994'),
    ('Push-T block location', 'DINO-WM', '.006', '.997', '.002', '.999'),
    ('Push-T block angle', 'LeWM', '.187', '.902', '.021', '.990'),
    ('Push-T block angle', 'PLDM', '.446', '.745', '.056', '.972'),
    ('Push-T block angle', 'DINO-WM', '.050', '.979', '.009', '.995'),
    ('Two-Room agent position', 'LeWM', '.008', '.996', '.000', '1.000'),
    ('Two-Room agent position', 'PLDM', '.008', '.996', '.000', '1.000'),
    ('Two-Room agent position', 'DINO-WM', '.488', '.824', '.000', '.999'),
    ('Cube joint position', 'LeWM', '.352', '.706', '.330', '.742'),
    ('Cube joint velocity', 'LeWM', '1.021', '.095', '.818', '.386'),
    ('Cube effector position', 'LeWM', '.018', '.991', '.003', '.998'),
    ('Cube effector yaw', 'LeWM', '.980', '.124', '.952', '.213'),
    ('Cube gripper', 'LeWM', '.121', '.938', '.048', '.976'),
    ('Cube block position', 'LeWM', '.007', '.997', '.002', '.999'),
    ('Cube block quaternion', 'LeWM', '1.019', '.087', '.963', '.224'),
    ('Cube block yaw', 'LeWM', '.996', '.062', '.973', '.164'),
    ('Cube overall', 'LeWM', '.592', '.477', '.525', '.584'),
    ('Cube overall', 'PLDM', '.611', '.464', '.503', '.600'),
    ('Cube overall', 'DINO-WM', '1.162', '.725', '.290', '.799'))
STRAIGHTNESS = (('LeWM, Push-T', 'about .6'), ('PLDM, Push-T', 'about .4'))


def published() -> dict[str, Any]:
    """Return the paper's values as the report shows them, for the JSON."""
    names = ('quantity', 'model', 'linear_mse', 'linear_r', 'mlp_mse', 'mlp_r')
    return {'source': 'LeWorldModel, arXiv 2603.19312', 'caution': CAUTION,
            'summary': {key: paper for key, (_, _, paper) in QUESTIONS.items() if paper != '–'},
            'probes': [dict(zip(names, row, strict=True)) for row in PROBES],
            'straightness': dict(STRAIGHTNESS)}
