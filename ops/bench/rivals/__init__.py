"""The designs that the pipeline is compared with. They do the same work, each in processes of its own.

None of them dedupes, keeps state, audits or writes dead letters.
"""

#: The topics of the rivals on Kafka; the pipeline's own topics hold only what the pipeline wrote.
CASES, INFERENCES, GRADINGS, ESCALATIONS = "bench.cases", "bench.inferences", "bench.gradings", "bench.escalations"
FLOW = {"inference": (CASES, INFERENCES), "grading": (INFERENCES, GRADINGS), "escalation": (GRADINGS, ESCALATIONS)}
#: Redis list of the finished cases: 16 bytes of case id, 8 of time (big-endian double, seconds since the epoch).
DONE = "bench.done"
