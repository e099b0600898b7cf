"""Statistics: pure functions over arrays, seeded, in bounded memory. Used by metrics, comparisons and plans.

Which test stands where: docs/statistics.md.
"""

from app.statistics.draws import FEWEST_GROUPS, RESAMPLES, SEED, Grouping, grouping, grouping_by_number
from app.statistics.holm import holm
from app.statistics.intervals import bca, percentile, wilson
from app.statistics.kappa import cohen_kappa
from app.statistics.paired import (
    paired_bootstrap,
    paired_bootstraps,
    permutation_test,
    permutation_tests,
    ranked_bootstrap,
)
from app.statistics.paired_rates import PairedRates, paired_rates, swap_test
from app.statistics.pairs import (
    USUAL_DISCORDANT,
    Z_POWER,
    Z,
    mcnemar_exact,
    paired_difference,
    smallest_difference,
    smallest_mean_difference,
)
from app.statistics.replicates import Replicates, over_seeds
from app.statistics.sums import Estimate, Ranked, Sums, mean_of, rate_of

__all__ = [
    "FEWEST_GROUPS",
    "RESAMPLES",
    "SEED",
    "USUAL_DISCORDANT",
    "Z_POWER",
    "Estimate",
    "Grouping",
    "PairedRates",
    "Ranked",
    "Replicates",
    "Sums",
    "Z",
    "bca",
    "cohen_kappa",
    "grouping",
    "grouping_by_number",
    "holm",
    "mcnemar_exact",
    "mean_of",
    "over_seeds",
    "paired_bootstrap",
    "paired_bootstraps",
    "paired_difference",
    "paired_rates",
    "percentile",
    "permutation_test",
    "permutation_tests",
    "ranked_bootstrap",
    "rate_of",
    "smallest_difference",
    "smallest_mean_difference",
    "swap_test",
    "wilson",
]
