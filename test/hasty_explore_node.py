"""An exploration node that gives up its recorder after three seconds. Run by a test."""

import sys

from lewm_ros.sources import explore_node

if __name__ == '__main__':
    explore_node._ANSWER_S = 3.0
    sys.exit(explore_node.main())
