"""The daily run as an Airflow DAG: the same tasks, each `quantlytic daily --task NAME --date DAY`.

Quantlytic lives in an environment of its own and Airflow in another; all they share is this command line. The Airflow variable
`quantlytic_daily` is the command, by default `quantlytic daily`: give it the path of the environment, and options. Settings come
from `quantlytic.toml` and QUANTLYTIC_HOME of the worker. A task that is done is done: cleared and run again it changes nothing.

The schedule is plain: 00:30 UTC, when every session of the day before has ended everywhere but in the Americas' evening trade,
and crypto's day, too. Days on which no tracked exchange was open are done in a second.
"""

from __future__ import annotations

import datetime

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import dag

# task -> the tasks it needs; equal to quantlytic.daily.runner.TASKS, which a test checks
NEEDS: dict[str, tuple[str, ...]] = {
    "plan": (),
    "backfill": ("plan",),
    "pull": ("plan",),
    "check": ("backfill", "pull"),
    "repair": ("check",),
    "enrich": ("repair",),
    "signals": ("repair",),
    "recommend": ("repair",),
    "digest": ("enrich", "signals", "recommend"),
}
COMMAND = "{{ var.value.get('quantlytic_daily', 'quantlytic daily') }} --task %s --date {{ macros.ds_add(ds, -1) }}"


@dag(
    dag_id="quantlytic_daily",
    schedule="30 0 * * *",
    start_date=datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC),
    catchup=False,  # one run fetches all that is missing
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": datetime.timedelta(minutes=5), "retry_exponential_backoff": True},
    doc_md=__doc__,
    tags=["quantlytic"],
)
def quantlytic_daily() -> None:
    tasks = {name: BashOperator(task_id=name, bash_command=COMMAND % name, append_env=True) for name in NEEDS}
    for name, needs in NEEDS.items():
        for need in needs:
            tasks[need] >> tasks[name]


daily = quantlytic_daily()
