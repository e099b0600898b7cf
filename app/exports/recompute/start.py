"""python3 recompute.py computes every number of the table again from the predictions in this folder and says
whether it agrees with the stored one. It ends with 1 when one does not. Python 3.11 or newer, nothing else.

python3 recompute.py --bootstrap also repeats the bootstrap intervals: pip install -r recompute/requirements.txt
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "recompute"))

from recompute import main

if __name__ == "__main__":
    sys.exit(main())
