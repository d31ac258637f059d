"""Rows of several tables, where every row is tested but not every combination."""

import itertools


def side_by_side(*tables):
    """Each row of each table at least once: a shorter table begins again."""
    count = max(map(len, tables))
    columns = (itertools.islice(itertools.cycle(table), count) for table in tables)
    return list(zip(*columns, strict=True))
