"""The simulated landscape behind ``REGION=demo``: imagery, visits and truth, all invented.

The land lies in the open Gulf of Guinea, so that nobody can take its mines for real places. Read
the files in this order: `frame`, `rivers`, `canvas`, `nature`, `people`, `mines`, `landscape` build
the ground; `clouds` and `sensor` photograph it; `stac_items` and `visits` write what a researcher
would be given; `second_year` lets two years pass; `make` puts it all into one folder. `folder` says
where a workspace keeps it, and `labeller` labels a sample by what is truly there.
"""

from pipeline.demo.make import GENERATOR, SECOND_YEAR, make_demo

__all__ = ["GENERATOR", "SECOND_YEAR", "make_demo"]
