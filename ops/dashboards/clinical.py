"""Clinical page: who waits for an answer, what was decided, what the model says and declines."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from ops.dashboards.panels import PER_SECOND, RECORDS, SECONDS, SHARE, Query, bars, lines, number, page


def clinical() -> dashboard.Dashboard:
    """The page about patients. Synthetic cases are in none of its figures."""
    return (
        page(
            "Vigía · Clinical", "vigia-clinical", "Who waits for an answer, what was decided, what the model declines."
        )
        .with_row(dashboard.Row("Answers"))
        .with_panel(
            number(
                "Next deadline",
                Query("min(vigia_clinical_seconds_to_deadline)"),
                SECONDS,
                "Until the next deadline of an unanswered escalation.",
                none="none open",
                span=6,
            )
        )
        .with_panel(
            number(
                "Overdue",
                Query("sum(vigia_clinical_overdue_escalations)"),
                RECORDS,
                "Past their deadline and not yet raised to the next role.",
                limits=(1, 1),
                span=6,
            )
        )
        .with_panel(
            number(
                "Missed deadlines, 24 h",
                Query("sum(increase(vigia_clinical_missed_deadlines_total[24h]))"),
                RECORDS,
                "Nobody answered in time, and the next role was asked.",
                limits=(1, 5),
                span=6,
            )
        )
        .with_panel(
            number(
                "Dead letters, 24 h",
                Query("sum(increase(vigia_dead_letters_total[24h])) or vector(0)"),
                RECORDS,
                "Inputs that could not be processed; people were asked to look at each.",
                limits=(1, 10),
                span=6,
            )
        )
        .with_panel(
            bars(
                "Unanswered, by priority",
                Query("sum by (priority) (vigia_clinical_open_escalations)", "{{priority}}"),
                RECORDS,
                "Escalations that nobody has answered.",
            )
        )
        .with_panel(
            lines(
                "Oldest unanswered, by priority",
                (Query("max by (priority) (vigia_clinical_oldest_unanswered_seconds)", "{{priority}}"),),
                SECONDS,
                "Since it was first raised.",
            )
        )
        .with_panel(
            lines(
                "Escalations raised",
                (Query("sum by (type) (increase(vigia_escalations_total[10m]))", "{{type}}"),),
                RECORDS,
                "In ten minutes, by type.",
                stacked=True,
            )
        )
        .with_panel(
            lines(
                "Answers",
                (
                    Query(
                        "sum by (action, outcome) (increase(vigia_acknowledgements_total[10m]))",
                        "{{action}}: {{outcome}}",
                    ),
                ),
                RECORDS,
                "In ten minutes, by what became of them.",
                stacked=True,
            )
        )
        .with_row(dashboard.Row("Decisions"))
        .with_panel(
            lines(
                "Decisions by severity",
                (Query("sum by (severity) (rate(vigia_decisions_total[5m]))", "{{severity}}"),),
                PER_SECOND,
                "Of the last five minutes.",
                stacked=True,
            )
        )
        .with_panel(
            lines(
                "From capture to escalation, p99",
                (Query('stage_lane:vigia_since_captured_seconds:p99_5m{stage="escalation"}', "{{lane}}"),),
                SECONDS,
                "From the camera to people; the upload is in it.",
            )
        )
        .with_row(dashboard.Row("The model"))
        .with_panel(
            lines(
                "Pictures it declines",
                (
                    Query("vigia_abstentions:ratio_10m", "last 10 minutes"),
                    Query("vigia_abstentions:ratio_1d", "last day"),
                ),
                SHARE,
                "Share of pictures that go to people because the model gives no class.",
            )
        )
        .with_panel(
            lines(
                "Why it declines",
                (Query("sum by (reason) (increase(vigia_abstentions_total[10m]))", "{{reason}}"),),
                RECORDS,
                "In ten minutes.",
                stacked=True,
            )
        )
        .with_panel(
            lines(
                "Mean probability of each class",
                (Query("class:vigia_class_probability:mean_1h", "{{class}}"),),
                SHARE,
                "Over an hour. It moves when pictures change, before anyone sees wrong grades.",
            )
        )
        .with_panel(
            lines(
                "Clinicians' staging against the model's",
                (Query("sum by (relation) (increase(vigia_ground_truth_total[1d]))", "{{relation}}"),),
                RECORDS,
                "Resolved escalations of the last day. Under-staging: the clinician found worse than the model.",
                stacked=True,
            )
        )
        .with_panel(
            lines(
                "Shadow model",
                (Query("sum by (agreement) (increase(vigia_shadow_findings_total[1h]))", "{{agreement}}"),),
                RECORDS,
                "Pictures of the last hour that a shadow model judged too.",
                stacked=True,
            )
        )
        .with_panel(
            bars(
                "Model in use",
                Query("sum by (version, role) (vigia_model_info)", "{{version}} · {{role}}"),
                RECORDS,
                "Workers that use each version. More than one: a canary, or a promotion under way.",
            )
        )
    )
