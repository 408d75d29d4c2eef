"""``python -m mmlt NAME ...``."""

import sys

from mmlt.apps.main import main

sys.exit(main())
