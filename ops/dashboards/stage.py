"""The page about one stage: what comes in, what waits, where the time goes, what went wrong.

The stage is chosen at the top of the page.
"""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as model

from ops.dashboards.panels import BYTES, DATASOURCE, PER_SECOND, RECORDS, SECONDS, Query, lines, number, page, states

#: The stage's consumer group is `vigia-` and its name.
GROUP = 'consumergroup="vigia-$stage"'
STAGE = 'stage="$stage"'


def _quantiles(metric: str, labels: str, legend: str = "") -> tuple[Query, ...]:
    by = f"{legend}, le" if legend else "le"
    shown = f" · {{{{{legend}}}}}" if legend else ""
    return tuple(
        Query(
            f"histogram_quantile({q}, sum by ({by}) (rate({metric}_bucket{{{labels}}}[5m])))", f"p{q * 100:.0f}{shown}"
        )
        for q in (0.5, 0.99)
    )


def stage() -> dashboard.Dashboard:
    """The page about the chosen stage."""
    chosen = (
        dashboard.QueryVariable("stage")
        .label("Stage")
        .datasource(DATASOURCE)
        .query("label_values(vigia_assigned_partitions, stage)")
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
    )
    return (
        page("Vigía · Stage", "vigia-stage", "What comes in, what waits, where the time goes, what went wrong.")
        .with_variable(chosen)
        .with_row(dashboard.Row("$stage"))
        .with_panel(
            number(
                "Oldest unread record",
                Query(f"max(vigia_consumergroup_lag_seconds{{{GROUP}}})"),
                SECONDS,
                "Age of the oldest record that the stage has not read.",
                limits=(30, 120),
            )
        )
        .with_panel(
            number(
                "Unread records", Query(f"sum(kafka_consumergroup_lag{{{GROUP}}})"), RECORDS, "Readable and not read."
            )
        )
        .with_panel(
            number(
                "Done in",
                Query(f"max(vigia_consumergroup_drain_seconds{{{GROUP}}})"),
                SECONDS,
                "Until nothing is left at the present rates; infinite when the lag does not shrink.",
            )
        )
        .with_panel(
            number("Workers", Query(f"sum(kafka_consumergroup_members{{{GROUP}}})"), RECORDS, "Members of the group.")
        )
        .with_panel(
            number(
                "Dead letters, last hour",
                Query(f"sum(increase(vigia_dead_letters_total{{{STAGE}}}[1h])) or vector(0)"),
                RECORDS,
                "Inputs that could not be processed.",
                limits=(1, 10),
            )
        )
        .with_panel(
            number(
                "Loop lateness, p99",
                Query(
                    "histogram_quantile(0.99, sum by (le) "
                    f"(rate(vigia_event_loop_lateness_seconds_bucket{{{STAGE}}}[5m])))"
                ),
                SECONDS,
                "How late the event loop runs its timers. High: something blocks it, or the processor is short.",
                limits=(0.25, 1),
            )
        )
        .with_row(dashboard.Row("Flow"))
        .with_panel(
            lines(
                "In and out",
                (
                    Query(f"sum(vigia_consumergroup_records_in_per_second{{{GROUP}}})", "arrives"),
                    Query(f"sum(vigia_consumergroup_records_out_per_second{{{GROUP}}})", "is finished"),
                ),
                PER_SECOND,
                "Measured at the broker, so it is there when no worker is.",
            )
        )
        .with_panel(
            lines(
                "Unread records by partition",
                (Query(f"sum by (topic, partition) (kafka_consumergroup_lag{{{GROUP}}})", "{{topic}}[{{partition}}]"),),
                RECORDS,
                "One partition that stands out: a key that sends much, or a slow worker.",
                stacked=True,
            )
        )
        .with_panel(
            states(
                "State by partition",
                Query(f"vigia_consumergroup_state{{{GROUP}}}", "{{topic}}[{{partition}}]"),
                "The evaluator's verdict.",
            )
        )
        .with_panel(
            lines(
                "Partitions held, by worker",
                (Query(f"vigia_assigned_partitions{{{STAGE}}}", "{{instance}}"),),
                RECORDS,
                "Who works; the sum is the number of partitions when all are served.",
                stacked=True,
            )
        )
        .with_row(dashboard.Row("Where the time goes"))
        .with_panel(
            lines(
                "Taken up to committed",
                _quantiles("vigia_stage_seconds", STAGE),
                SECONDS,
                "In the hands of this stage.",
            )
        )
        .with_panel(
            lines(
                "Published to committed here",
                _quantiles("vigia_since_published_seconds", STAGE, "lane"),
                SECONDS,
                "From the producer to here, waiting included.",
            )
        )
        .with_panel(
            lines(
                "Transaction",
                _quantiles("vigia_transaction_seconds", STAGE),
                SECONDS,
                "From begin to commit: the broker.",
            )
        )
        .with_panel(
            lines(
                "Inference by phase",
                _quantiles("vigia_inference_phase_seconds", "", "phase"),
                SECONDS,
                "Of a batch: fetching pictures, decoding them, the model. Inference workers of both lanes.",
            )
        )
        .with_row(dashboard.Row("What went wrong"))
        .with_panel(
            lines(
                "Transactions",
                (
                    Query(f"sum(rate(vigia_commits_total{{{STAGE}}}[1m]))", "committed"),
                    Query(f"sum(rate(vigia_transactions_fenced_total{{{STAGE}}}[1m])) or vector(0)", "fenced"),
                    Query(f"sum(rate(vigia_transactions_aborted_total{{{STAGE}}}[1m])) or vector(0)", "aborted"),
                ),
                PER_SECOND,
                "Fenced: another worker took over, as it should after a kill. Aborted: look at the log.",
            )
        )
        .with_panel(
            lines(
                "Retries and rebalances",
                (
                    Query(
                        f"sum by (dependency) (increase(vigia_retries_total{{{STAGE}}}[5m]))",
                        "waits for {{dependency}}",
                    ),
                    Query(f"sum(increase(vigia_rebalances_total{{{STAGE}}}[5m]))", "rebalances"),
                ),
                RECORDS,
                "In five minutes.",
            )
        )
        .with_panel(
            lines(
                "Memory",
                (
                    Query(
                        f"process_resident_memory_bytes and on (instance) vigia_assigned_partitions{{{STAGE}}}",
                        "{{instance}}",
                    ),
                ),
                BYTES,
                "Resident memory of the stage's workers.",
            )
        )
        .with_panel(
            lines(
                "Outbox",
                (Query(f"sum by (instance) (vigia_outbox_records{{{STAGE}}})", "{{instance}}"),),
                RECORDS,
                "Inputs completed and not yet committed. Growing: transactions do not get through.",
            )
        )
    )
