"""How sure a forecast is, as one number from 0 to 1 for each target. The definition readers see is docs/confidence.md.

Called once a batch with the model's quantiles; pure numpy. It says how narrow the interval is, not whether it is right:
coverage is measured elsewhere.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# What is left of the confidence of a station without any history: the model saw such stations in training, so not
# nothing.
WITHOUT_HISTORY = 0.5


def confidence(quantiles: Floats, spread: Floats, levels: tuple[float, ...], completeness: Floats) -> Floats:
    """Confidence of each target.

      sharpness  = mean over horizons of max(0, 1 - (q_high - q_low) / (z * spread))
      confidence = sharpness * (0.5 + 0.5 * completeness)

    z * spread is the width the same band would have if only the climatology were known: `spread` is the station's
    climatological standard deviation, z the distance of the two outer levels in a standard normal (3.29 for 5 % and 95
    %).
    Shapes: `quantiles` [n, target, horizon, level], `spread` [n, target], `completeness` [n] -> [n, target].
    Edges: an interval as wide as climatology or wider is 0; a missing forecast or an unknown or zero spread counts as
    0.
    """
    z = NormalDist().inv_cdf(levels[-1]) - NormalDist().inv_cdf(levels[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = (quantiles[..., -1] - quantiles[..., 0]) / (z * spread[:, :, None])
    sharpness = np.clip(1.0 - np.where(np.isfinite(ratio), ratio, 1.0), 0.0, 1.0).mean(axis=2)
    return np.asarray(sharpness * (WITHOUT_HISTORY + (1.0 - WITHOUT_HISTORY) * completeness)[:, None])
