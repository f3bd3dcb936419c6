"""What an expression asks for, by a real PromQL parser."""

from __future__ import annotations

import promql_parser


def metric_names(expr: str) -> set[str]:
    """Names of the metrics in `expr`. Raises ValueError where it is no PromQL."""
    names: set[str] = set()

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            names.add(node.name)

    promql_parser.walk(promql_parser.parse(expr), visit)
    return names
