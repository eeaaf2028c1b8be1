"""Features of points by IDinsight/mosaiks, run by the Python of its own environment.

    python tests/benchmarks/region_peer.py CATALOGUE POINTS.csv OUT.parquet

The catalogue is a folder of STAC items; the package's two addresses of services are replaced by
it, and the items get the older name of their projection, which it asks for. Nothing else of the
package is touched. pystac must be 1.11: from 1.12 on the older name is taken away on reading.
"""

import sys
import time
from pathlib import Path

CATALOGUE, POINTS, OUT = sys.argv[1:]
BANDS = ["B02", "B03", "B04", "B08", "B11", "B12"]


class Folder:
    """Answers searches as a STAC service would."""

    def search(self, **_asked):
        """Return every item: the points lie all over the region."""
        return self

    def item_collection(self):
        """Read the items."""
        import pystac

        items = []
        for path in sorted(Path(CATALOGUE).glob("*/*.json")):
            item = pystac.Item.from_file(str(path))
            code = item.properties.get("proj:code", "")
            item.properties.setdefault("proj:epsg", int(code.split(":")[-1]) if code else None)
            item.make_asset_hrefs_absolute()
            items.append(item)
        return pystac.ItemCollection(items)


def take_the_folder():
    """Replace the services, here and in every worker."""
    import mosaiks.fetch.stacs

    mosaiks.fetch.stacs.get_stac_api = lambda name: Folder()


def main():
    """Compute 1,024 features of every point, on two workers."""
    import pandas as pd
    from dask.distributed import Client, LocalCluster
    from mosaiks import get_features

    points = pd.read_csv(POINTS)
    take_the_folder()
    started = time.perf_counter()
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster) as client:
        client.run(take_the_folder)
        found = get_features(
            points["lat"].to_numpy(), points["lon"].to_numpy(), "",
            satellite_name="sentinel-2-l2a", image_resolution=10, image_bands=BANDS,
            image_width=550, min_image_edge=30, image_composite_method="least_cloudy",
            image_dtype="float",
            n_mosaiks_features=1024, parallelize=True, dask_client=client, dask_chunksize=200,
            dask_sort_points_by_hilbert_distance=True,
        )  # fmt: skip
    columns = [name for name in found if name.startswith("mosaiks_")]
    print(f"seconds {time.perf_counter() - started:.2f}")
    print(f"observed {found[columns].notna().all(axis=1).mean():.4f}")
    found[columns].to_parquet(OUT, index=False)


if __name__ == "__main__":
    main()
