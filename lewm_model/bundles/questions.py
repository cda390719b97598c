"""What the overview of an analysis asks of a model; for its report and for the bundle's card.

Source of published values: LeWorldModel, arXiv 2603.19312 (LeWM rows only).
"""

from __future__ import annotations

# key of the summary -> question, what the number is, the paper's value
QUESTIONS = {
    'state_r_linear_worst': ('Is the state of the robot in one latent?',
                             'linear r, worst quantity', '.902 (Push-T block angle)'),
    'state_r_mlp_worst': ('', 'MLP r, worst quantity', '.990 (Push-T block angle)'),
    'velocity_r_one_frame': ('And its velocity, which no single picture shows?',
                             'MLP r, best one, one frame', '.386 (Cube joint velocity)'),
    'velocity_r_several_frames': ('', 'MLP r, worst one, several frames', '–'),
    'teleport_surprise': ('Does the impossible surprise it?',
                          'surprise at a teleport (1 = ordinary)', '–'),
    'teleport_p': ('', 'p', 'below .01, three tasks'),
    'teleport_alarms': ('', 'share of teleports above nearly all ordinary surprise', '–'),
    'colour_surprise': ('Does a mere change of colour?', 'surprise (1 = ordinary)', '–'),
    'colour_p': ('', 'p', 'not significant on Cube'),
    'straightness': ('Is smooth motion straight in latent space?', 'mean cosine',
                     'about .6 (Push-T)'),
    'useful_seconds': ('How far ahead does imagining beat "nothing moves"?',
                       'seconds, as far as tested', '–'),
    'flat_from_share': ('At what distance does the cost become flat?',
                        'share of the distances that occur, first quantity to do so', '–'),
    'flat_from_rad': ('At what distance does the cost become flat?',   # of bundles from before
                      'rad, first joint to do so', '–'),
    'components_for_95': ('How many directions do latents use?',
                          'principal components for 95 % of the variance', '–'),
    'grid_rank_r': ('Do latents lie as the states do?',
                    'rank correlation of distances over a grid of states, worst grid', '–'),
    'decoder_explained': ('Is the picture still in the latent?',
                          'share of pixel variance decoded', '–'),
}
