"""Run with Airflow's own Python, apart from Quantlytic's: the DAG of deploy/airflow by `dag.test()`.

Prints one line of JSON: the tasks with what each needs, the schedule, and the state of each task after the run.
"""

from __future__ import annotations

import datetime
import importlib.util
import json
import sys
from pathlib import Path


def main(path: Path, day: str) -> None:
    spec = importlib.util.spec_from_file_location("quantlytic_daily", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    dag = module.daily
    at = datetime.datetime.fromisoformat(day).replace(tzinfo=datetime.UTC) + datetime.timedelta(days=1, minutes=30)
    run = dag.test(logical_date=at)
    found = {
        "needs": {task.task_id: sorted(task.upstream_task_ids) for task in dag.tasks},
        "states": {one.task_id: str(one.state) for one in run.get_task_instances()},
        "state": str(run.state),
    }
    print("\n" + json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
