"""Analysis: SQL and data frames over the Parquet files, labels and attributes by their names.

    python analysis.py

reads the built folder celeba_dialog/ of the working directory, and of its columns only those that are asked for. A
repository is read alike, as "hf://datasets/OWNER/celeba_dialog/standard/train-*.parquet".
"""

import duckdb
import polars
from datasets import load_dataset_builder

from celeba_dialog import ATTRIBUTES

TRAIN = "celeba_dialog/standard/train-*.parquet"


def smiles(features):
    """DuckDB: of the images with each smile, how many there are, and the share of men among them."""
    query = """
        select $smiling[smiling + 1] as smile, count(*) as images, avg(attributes[$male]) as men
        from read_parquet($files) group by smiling order by smiling
    """  # a list begins with 1 in SQL
    names = {"smiling": features["smiling"].names, "male": ATTRIBUTES.index("Male") + 1}
    return duckdb.sql(query, params={"files": TRAIN, **names}).pl()


def requests(features):
    """Polars: how many requests of each kind there are for each attribute."""
    labels = features["request_labels"]

    def named(field):
        codes = polars.col("request_labels").struct.field(field)
        return codes.replace_strict(dict(enumerate(labels[field].names)), default=None)

    kinds = polars.scan_parquet(TRAIN).select(named("attribute"), named("mode"), named("direction"))
    return kinds.group_by(polars.all()).len("requests").sort(polars.all()).collect()


if __name__ == "__main__":
    known = load_dataset_builder("celeba_dialog", "standard").info.features
    for table in (smiles, requests):
        print(table(known))
