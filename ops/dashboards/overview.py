"""The overview page: is anyone waiting, where, and how long? It reads from top to bottom in ten seconds."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from ops.dashboards.panels import PER_SECOND, RECORDS, SECONDS, Query, bars, lines, number, page, states

OURS = 'consumergroup=~"vigia-.+"'


def overview() -> dashboard.Dashboard:
    """The page to leave open."""
    return (
        page("Vigía · Overview", "vigia-overview", "Is anyone waiting, where, and how long?")
        .with_row(dashboard.Row("Is anyone waiting?"))
        .with_panel(
            number(
                "Oldest emergency case",
                Query('max(vigia_clinical_oldest_waiting_seconds{lane="emergency"})'),
                SECONDS,
                "The emergency case that waits longest before any step. Normal: under 2 s.",
                limits=(2, 10),
            )
        )
        .with_panel(
            number(
                "Oldest routine case",
                Query('max(vigia_clinical_oldest_waiting_seconds{lane="routine"})'),
                SECONDS,
                "The routine case that waits longest before any step.",
                limits=(60, 120),
            )
        )
        .with_panel(
            number(
                "Overdue escalations",
                Query("sum(vigia_clinical_overdue_escalations)"),
                RECORDS,
                "Unanswered and past their deadline. Each is raised to the next role at once: 0, or there is trouble.",
                limits=(1, 1),
            )
        )
        .with_panel(
            number(
                "Unanswered escalations",
                Query("sum(vigia_clinical_open_escalations)"),
                RECORDS,
                "People were asked and nobody has answered yet.",
            )
        )
        .with_panel(
            number(
                "Canary, emergency",
                Query('max(vigia_canary_latest_round_trip_seconds{lane="emergency"})'),
                SECONDS,
                "Round trip of the newest synthetic case, from publishing to escalation.",
                limits=(2, 10),
            )
        )
        .with_panel(
            number(
                "Kafka answers",
                Query("min(vigia_lag_exporter_up)"),
                "bool_yes_no",
                "Whether the broker answers the lag exporter. When it does not, the figures of lag are gone, not 0.",
                none="no exporter",
            )
        )
        .with_row(dashboard.Row("Where?"))
        .with_panel(
            bars(
                "Cases before each step",
                Query("sum by (step, lane) (vigia_clinical_waiting_cases)", "{{step}} · {{lane}}"),
                RECORDS,
                "Cases that a step has not worked off, by lane.",
                limits=(50, 500),
                span=8,
            )
        )
        .with_panel(
            states(
                "State of each stage",
                Query(f"max by (consumergroup) (vigia_consumergroup_state{{{OURS}}})", "{{consumergroup}}"),
                "Worst partition. stalled: held, but does not move. stopped: nobody reads.",
                span=8,
            )
        )
        .with_panel(
            bars(
                "Workers",
                Query(f"max by (consumergroup) (kafka_consumergroup_members{{{OURS}}})", "{{consumergroup}}"),
                RECORDS,
                "Members of each stage's consumer group. 0: nobody works there.",
                span=8,
            )
        )
        .with_row(dashboard.Row("How long?"))
        .with_panel(
            lines(
                "Oldest waiting case, by step",
                (Query("max by (step, lane) (vigia_clinical_oldest_waiting_seconds)", "{{step}} · {{lane}}"),),
                SECONDS,
                "Since the oldest case before the step was published.",
                limits=(2, 10),
            )
        )
        .with_panel(
            lines(
                "From publishing to escalation, p99",
                (Query('stage_lane:vigia_since_published_seconds:p99_5m{stage="escalation"}', "{{lane}}"),),
                SECONDS,
                "Of the last five minutes. The promise for emergencies is under 2 s.",
                limits=(2, 30),
            )
        )
        .with_panel(
            lines(
                "Unread records",
                (Query(f"sum by (consumergroup) (group_topic:vigia_lag_records:sum{{{OURS}}})", "{{consumergroup}}"),),
                RECORDS,
                "Readable records that each group has not read.",
            )
        )
        .with_panel(
            lines(
                "Throughput",
                (Query("stage:vigia_records_in:rate1m", "{{stage}}"),),
                PER_SECOND,
                "Records per second that each stage processes.",
            )
        )
    )
