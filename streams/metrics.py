"""The metrics of a worker process. Base units, bounded labels, no patient data; `docs/metrics.md` lists them.

One process serves one stage, so the process-wide registry of prometheus-client serves; `stage` is the consumer group's
stage name (`inference-emergency`, `grading`, …).
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

#: From a few milliseconds (one batch) to the minutes of a backlog; the promise for emergencies is 2 s and 30 s.
LATENCY = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 900, 3600)
WORK = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

RECORDS_IN = Counter("vigia_records_in_total", "Records consumed and processed.", ["stage", "topic"])
RECORDS_OUT = Counter("vigia_records_out_total", "Records produced in committed transactions.", ["stage", "topic"])
DUPLICATES = Counter("vigia_duplicates_total", "Events that arrived again and were left out.", ["stage"])
BATCH = Histogram("vigia_batch_size", "Events per batch.", ["stage"], buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256))
STAGE = Histogram(
    "vigia_stage_seconds", "From taking an event up to committing its results.", ["stage"], buckets=LATENCY
)
SINCE_PUBLISHED = Histogram(
    "vigia_since_published_seconds",
    "From the producer's publishing to this stage's commit.",
    ["stage", "lane"],
    buckets=LATENCY,
)
SINCE_CAPTURED = Histogram(
    "vigia_since_captured_seconds",
    "From the picture's capture to this stage's commit.",
    ["stage", "lane"],
    buckets=LATENCY,
)
PHASE = Histogram(
    "vigia_inference_phase_seconds",
    "Time per batch, by phase: fetch (with decoding), model, explain.",
    ["phase"],
    buckets=WORK,
)
DECODER_ENDED = Counter(
    "vigia_decoder_refusals_total",
    "Pictures refused because the process that decoded them died (decoder_failed) or took too long (decoder_timeout).",
    ["reason"],
)
TRANSACTION = Histogram(
    "vigia_transaction_seconds", "From the begin of a transaction to its commit.", ["stage"], buckets=WORK
)
COMMITS = Counter("vigia_commits_total", "Committed transactions.", ["stage"])
FENCED = Counter(
    "vigia_transactions_fenced_total", "Transactions that failed because another worker took the partition.", ["stage"]
)
HANGING = Counter(
    "vigia_transactions_hanging_total", "Transactions that a broker left open and a takeover ended.", ["stage"]
)
STATE_UNREADABLE = Gauge(
    "vigia_state_unreadable_entries",
    "Entries of the state that this version cannot read, on the partitions held; people were asked about each.",
    ["stage"],
)
ABORTED = Counter(
    "vigia_transactions_aborted_total", "Transactions that failed for another reason than a takeover.", ["stage"]
)
REBALANCES = Counter("vigia_rebalances_total", "Assignments received from the consumer group.", ["stage"])
ASSIGNED = Gauge("vigia_assigned_partitions", "Partitions that this worker holds.", ["stage"])
OUTBOX = Gauge("vigia_outbox_records", "Inputs that are processed and not yet committed.", ["stage"])
RETRIES = Counter(
    "vigia_retries_total", "Repeated attempts to reach something that did not answer.", ["stage", "dependency"]
)
DEATHS = Counter(
    "vigia_deaths_attributed_total",
    "Takeovers that found three or more owners before them dead at the same place.",
    ["stage", "topic"],
)
LAID_ASIDE = Counter(
    "vigia_laid_aside_total",
    "Records laid aside by pointer, unprocessed: kills_worker, unreadable or skipped.",
    ["stage", "reason"],
)
HELD_BACK = Gauge(
    "vigia_held_back_partitions", "Partitions whose records are tried one by one, in a process of their own.", ["stage"]
)
ENDED = Counter(
    "vigia_foreign_transactions_ended_total",
    "Transactions that were left open among a stage's inputs by a producer of others, and were aborted.",
    ["stage"],
)
TIMED_OUT = Counter(
    "vigia_work_timed_out_total", "Pieces of work that took longer than the lane's promise allows.", ["stage", "phase"]
)
DEAD_LETTERS = Counter(
    "vigia_dead_letters_total", "Inputs that could not be processed and became dead letters.", ["stage", "reason"]
)
UNSTRIPPED = Counter(
    "vigia_pictures_with_metadata_total",
    "Pictures judged whose file still holds metadata: published past the client, which removes it.",
    ["stage"],
)
ABSTENTIONS = Counter("vigia_abstentions_total", "Pictures that the model declined to judge.", ["reason"])
DECISIONS = Counter("vigia_decisions_total", "Clinical decisions, by severity.", ["severity"])
CLASS_PROBABILITY = Histogram(
    "vigia_class_probability",
    "Probability that the model gave to each class.",
    ["class"],
    buckets=[i / 10 for i in range(1, 11)],
)
ESCALATIONS = Counter("vigia_escalations_total", "Escalations published, by type and level.", ["type", "level"])
ACKNOWLEDGEMENTS = Counter(
    "vigia_acknowledgements_total",
    "Acknowledgements, by what they asked for and what came of it.",
    ["action", "outcome"],
)
GROUND_TRUTH = Counter(
    "vigia_ground_truth_total",
    "Escalations resolved with a clinician's staging, by how the model's class compares with it: agreement, "
    "under_staging, over_staging, not_comparable.",
    ["model_version", "relation"],
)
MISSED = Counter("vigia_deadlines_missed_total", "Deadlines that passed without an acknowledgement.", ["type"])
UNRESOLVED = Counter(
    "vigia_escalations_unresolved_total",
    "Escalations that were taken up and not resolved in time, and so were asked of the next role.",
    ["type"],
)
OPEN = Gauge("vigia_open_escalations", "Open escalations on the partitions that this worker holds.", ["priority"])
MODEL = Gauge(
    "vigia_model_info", "1 for each model version in use, by role: active, canary, shadow.", ["version", "role"]
)
MODEL_REFUSED = Counter(
    "vigia_model_refused_total", "Orders for a model version that was missing or not valid.", ["role"]
)
SHADOW = Counter(
    "vigia_shadow_findings_total",
    "Pictures that a shadow model judged as well, by whether it agreed with the active one.",
    ["agreement"],
)
LATENESS = Histogram(
    "vigia_event_loop_lateness_seconds", "How late the event loop runs its timers.", ["stage"], buckets=WORK
)
STILL = Gauge(
    "vigia_standing_still_seconds",
    "Seconds that a part which works beside the records (ticker, courier) has had something to do and has not moved.",
    ["stage", "part"],
)
REGISTRY_UP = Gauge("vigia_registry_up", "1 when the last call to the schema registry was answered.", ["stage"])
