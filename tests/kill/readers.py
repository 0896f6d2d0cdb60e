"""One reader of the outputs, as its users have it, reading them over and over while the job is killed.

Argument: duckdb, polars or pyarrow. A line on stdin is a command: `begin FOLDER` begins a round whose
outputs are in FOLDER, `look` asks for one more whole read, `end` for one more that is the last. Every
command is answered by a line of JSON that says what was seen since the round began; `reads` counts those
that saw a row. Between commands it reads as fast as it can.

What it holds: every read can be parsed, no record id and no group is there twice, nothing that was seen
is gone. It does not know what should be there in the end.
"""

import json
import os
import queue
import sys
import threading

PAUSE_WHILE_EMPTY_S = 0.01
os.environ["POLARS_MAX_THREADS"] = "1"
NOTHING = {"rows": 0, "groups": 0, "ids": 0, "distinct": 0, "dead": 0, "dead_distinct": 0, "late": 0, "late_distinct": 0}


def duckdb_reader():
    import duckdb

    db = duckdb.connect()
    db.sql("set threads = 1")
    db.sql("set enable_progress_bar = false")

    def query(sql, width):
        try:
            return db.sql(sql).fetchall()[0]
        except duckdb.IOException as error:
            if "No files found" in str(error):
                return (0,) * width
            raise

    def table(root):
        return query(
            f"""
with t as materialized (
  select symbol, window_start, string_split(ids, ' ') as ids
  from read_parquet('{root}/**/*.parquet', hive_partitioning = true)),
i as (select unnest(ids) as id from t)
select (select count(*) from t), (select count(distinct (symbol, window_start)) from t),
  (select count(*) from i), (select count(distinct id) from i)""",
            4,
        )

    def letters(root):
        return query(
            f"""select count(*), count(distinct (partition, "offset")) from read_parquet('{root}/**/*.parquet')""", 2
        )

    return table, letters


def polars_reader():
    import polars

    def scan(root, columns, hive):
        try:
            return polars.scan_parquet(f"{root}/**/*.parquet", hive_partitioning=hive).select(columns).collect()
        except (FileNotFoundError, polars.exceptions.ComputeError) as error:
            if "expanded paths were empty" in str(error) or "No such file" in str(error):
                return None
            raise

    def table(root):
        found = scan(root, ["symbol", "window_start", "ids"], True)
        if found is None:
            return 0, 0, 0, 0
        ids = found["ids"].str.split(" ").explode()
        return len(found), found.select("symbol", "window_start").n_unique(), len(ids), ids.n_unique()

    def letters(root):
        found = scan(root, ["partition", "offset"], False)
        return (0, 0) if found is None else (len(found), found.n_unique())

    return table, letters


def pyarrow_reader():
    import pyarrow.compute as compute
    import pyarrow.dataset as dataset

    def read(root, columns):
        # Its discovery takes every file of the folder, whatever it is called.
        if not os.path.isdir(root):
            return None
        found = dataset.dataset(root, format="parquet", partitioning="hive")
        return found.to_table(columns, use_threads=False) if found.files else None

    def distinct(table):
        return table.group_by(table.column_names, use_threads=False).aggregate([]).num_rows

    def table(root):
        found = read(root, ["symbol", "window_start", "ids"])
        if found is None:
            return 0, 0, 0, 0
        ids = compute.list_flatten(compute.split_pattern(found["ids"], " "))
        groups = distinct(found.select(["symbol", "window_start"]))
        return found.num_rows, groups, len(ids), compute.count_distinct(ids).as_py()

    def letters(root):
        found = read(root, ["partition", "offset"])
        return (0, 0) if found is None else (found.num_rows, distinct(found))

    return table, letters


def look(reader, folder):
    table, letters = reader
    rows, groups, ids, distinct = table(f"{folder}/out")
    dead, dead_distinct = letters(f"{folder}/out.dead-letters")
    late, late_distinct = letters(f"{folder}/out.late")
    seen = locals()
    return {name: seen[name] for name in NOTHING}


def judge(before, now):
    """What is wrong with this read, if anything."""
    for whole, distinct in [("rows", "groups"), ("ids", "distinct"), ("dead", "dead_distinct"), ("late", "late_distinct")]:
        if now[whole] != now[distinct]:
            return f"{whole} are there twice: {now}"
    gone = [name for name in NOTHING if now[name] < before[name]]
    return f"fewer {', '.join(gone)} than before: {before}, then {now}" if gone else None


class Round:
    def __init__(self, folder, out):
        self.out, self.folder, self.reads, self.seen, self.wrong = out, folder, 0, NOTHING, None

    def read(self, reader):
        try:
            now = look(reader, self.folder)
            self.wrong = self.wrong or judge(self.seen, now)
            self.seen = now
            self.reads += now["rows"] > 0
        except Exception as error:  # whatever a reader stumbles over is what we are looking for
            self.wrong = self.wrong or f"{type(error).__name__}: {error}"

    def answer(self):
        print(json.dumps({"reads": self.reads, "wrong": self.wrong, **self.seen}), file=self.out, flush=True)


def main():
    os.nice(10)
    # Whatever a library prints goes to stderr: stdout is for answers alone.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    reader = {"duckdb": duckdb_reader, "polars": polars_reader, "pyarrow": pyarrow_reader}[sys.argv[1]]()
    commands = queue.SimpleQueue()

    def listen():
        for line in sys.stdin:
            commands.put(line.split())
        commands.put(None)

    threading.Thread(target=listen, daemon=True).start()
    current = None
    while True:
        try:
            is_empty = current is not None and current.seen["rows"] == 0
            command = commands.get(current is None or is_empty, PAUSE_WHILE_EMPTY_S if is_empty else None)
        except queue.Empty:
            current.read(reader)
            continue
        if command is None:
            return
        if command[0] == "begin":
            current = Round(command[1], out)
        else:
            current.read(reader)
        current.answer()
        if command[0] == "end":
            current = None


main()
