"""Other designs that do the same work: what the pipeline is compared with. Each runs in processes of its own.

None of them dedupes, keeps state, audits or sends dead letters.
"""

#: Where the rivals on Kafka write. Their own topics: the pipeline's hold only what the pipeline made.
CASES, INFERENCES, GRADINGS, ESCALATIONS = "bench.cases", "bench.inferences", "bench.gradings", "bench.escalations"
FLOW = {"inference": (CASES, INFERENCES), "grading": (INFERENCES, GRADINGS), "escalation": (GRADINGS, ESCALATIONS)}
#: Redis list of the finished cases: 16 bytes of case id, 8 of time (big-endian double, seconds since the epoch).
DONE = "bench.done"
