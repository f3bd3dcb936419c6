"""The page about broker and consumers, for whoever runs Kafka: every consumer group, of this pipeline or not."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from ops.dashboards.panels import PER_SECOND, RECORDS, SECONDS, Query, bars, lines, number, page, states


def kafka() -> dashboard.Dashboard:
    """Offsets, lags, replicas, and the age of the figures themselves."""
    return (
        page("Vigía · Kafka and consumers", "vigia-kafka", "Offsets, lags and replicas, of every group and topic.")
        .with_row(dashboard.Row("Cluster"))
        .with_panel(number("Brokers", Query("max(kafka_brokers)"), RECORDS, "In the cluster."))
        .with_panel(number("Topics", Query("count(kafka_topic_partitions)"), RECORDS, "Without Kafka's internal ones."))
        .with_panel(number("Partitions", Query("sum(kafka_topic_partitions)"), RECORDS, "Of these topics."))
        .with_panel(
            number(
                "Under-replicated",
                Query("sum(kafka_topic_partition_under_replicated_partition)"),
                RECORDS,
                "Partitions with fewer in-sync replicas than they should have.",
                limits=(1, 1),
            )
        )
        .with_panel(
            number(
                "Age of these figures",
                Query("max(vigia_lag_exporter_figures_age_seconds)"),
                SECONDS,
                "Refreshed every second; gone after 8 s without an answer from the broker.",
                limits=(3, 8),
            )
        )
        .with_panel(
            number(
                "A refresh takes",
                Query("max(vigia_lag_exporter_refresh_seconds)"),
                SECONDS,
                "Looking at every group and partition.",
                limits=(1, 3),
            )
        )
        .with_row(dashboard.Row("Consumer groups"))
        .with_panel(
            lines(
                "Lag in seconds",
                (Query("group:vigia_lag_seconds:max", "{{consumergroup}}"),),
                SECONDS,
                "Age of the oldest record that a group has not read.",
            )
        )
        .with_panel(
            lines(
                "Lag in records",
                (Query("group_topic:vigia_lag_records:sum", "{{consumergroup}} · {{topic}}"),),
                RECORDS,
                "Readable records: markers, aborted and compacted ones are none.",
            )
        )
        .with_panel(
            states(
                "State",
                Query("group_topic:vigia_state:worst", "{{consumergroup}} · {{topic}}"),
                "Worst partition of each topic.",
            )
        )
        .with_panel(
            bars(
                "Members",
                Query("max by (consumergroup) (kafka_consumergroup_members)", "{{consumergroup}}"),
                RECORDS,
                "0: nobody reads.",
            )
        )
        .with_panel(
            lines(
                "Read per second",
                (Query("group_topic:vigia_records_out:per_second", "{{consumergroup}} · {{topic}}"),),
                PER_SECOND,
                "Records that each group finishes.",
            )
        )
        .with_panel(
            bars(
                "Lost to retention",
                Query(
                    "sum by (consumergroup, topic) (vigia_consumergroup_lost_offsets)", "{{consumergroup}} · {{topic}}"
                ),
                RECORDS,
                "Offsets that were deleted before the group read them.",
                limits=(1, 1),
            )
        )
        .with_row(dashboard.Row("Topics"))
        .with_panel(
            lines(
                "Written per second",
                (Query("sum by (topic) (rate(kafka_topic_partition_current_offset[1m]))", "{{topic}}"),),
                PER_SECOND,
                "Offsets: transaction markers are among them.",
            )
        )
        .with_panel(
            lines(
                "Held back by open transactions",
                (
                    Query(
                        "sum by (topic) (kafka_topic_partition_current_offset - vigia_topic_partition_stable_offset)",
                        "{{topic}}",
                    ),
                ),
                RECORDS,
                "Offsets above the last stable offset; they come and go. Growing: a transaction hangs.",
            )
        )
    )
