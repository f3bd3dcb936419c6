"""Requests that no client of ours knows, as the Kafka protocol defines them."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any

from aiokafka.protocol.api import Request, RequestStruct, Response, ResponseHeader_v0
from aiokafka.protocol.types import CompactArray, CompactString, Int16, Int32, Int64, Schema, TaggedFields


class _DescribeTransactionsResponse(Response):  # type: ignore[misc]
    API_KEY, API_VERSION = 65, 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "transaction_states",
            CompactArray(
                ("error_code", Int16),
                ("transactional_id", CompactString("utf-8")),
                ("transaction_state", CompactString("utf-8")),
                ("transaction_timeout_ms", Int32),
                ("transaction_start_time_ms", Int64),
                ("producer_id", Int64),
                ("producer_epoch", Int16),
                (
                    "topics",
                    CompactArray(
                        ("topic", CompactString("utf-8")), ("partitions", CompactArray(Int32)), ("tags", TaggedFields)
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _DescribeTransactionsV0(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY, API_VERSION = 65, 0
    RESPONSE_TYPE = _DescribeTransactionsResponse
    SCHEMA = Schema(("transactional_ids", CompactArray(CompactString("utf-8"))), ("tags", TaggedFields))


class DescribeTransactions(Request[_DescribeTransactionsV0]):  # type: ignore[misc]
    """How the last transactions of these transactional ids stand; for their coordinator."""

    API_KEY = 65

    def __init__(self, transactional_ids: list[str]) -> None:
        self._ids = transactional_ids

    def build(self, request_struct_class: type[_DescribeTransactionsV0]) -> _DescribeTransactionsV0:
        """The request as one version of the protocol has it."""
        return request_struct_class(self._ids, {})


class _DescribeProducersResponse(Response):  # type: ignore[misc]
    API_KEY, API_VERSION = 61, 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("name", CompactString("utf-8")),
                (
                    "partitions",
                    CompactArray(
                        ("partition_index", Int32),
                        ("error_code", Int16),
                        ("error_message", CompactString("utf-8")),
                        (
                            "active_producers",
                            CompactArray(
                                ("producer_id", Int64),
                                ("producer_epoch", Int32),
                                ("last_sequence", Int32),
                                ("last_timestamp", Int64),
                                ("coordinator_epoch", Int32),
                                ("current_txn_start_offset", Int64),
                                ("tags", TaggedFields),
                            ),
                        ),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _DescribeProducersV0(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY, API_VERSION = 61, 0
    RESPONSE_TYPE = _DescribeProducersResponse
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("name", CompactString("utf-8")), ("partition_indexes", CompactArray(Int32)), ("tags", TaggedFields)
            ),
        ),
        ("tags", TaggedFields),
    )


class DescribeProducers(Request[_DescribeProducersV0]):  # type: ignore[misc]
    """Producers that write to these partitions (topic → numbers), and where they have transactions open."""

    API_KEY = 61

    def __init__(self, partitions: Mapping[str, list[int]]) -> None:
        self._partitions = partitions

    def build(self, request_struct_class: type[_DescribeProducersV0]) -> _DescribeProducersV0:
        """The request as one version of the protocol has it."""
        return request_struct_class([(topic, numbers, {}) for topic, numbers in self._partitions.items()], {})


class _ListTransactionsResponse(Response):  # type: ignore[misc]
    API_KEY, API_VERSION = 66, 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("unknown_state_filters", CompactArray(CompactString("utf-8"))),
        (
            "transaction_states",
            CompactArray(
                ("transactional_id", CompactString("utf-8")),
                ("producer_id", Int64),
                ("transaction_state", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _ListTransactionsV0(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY, API_VERSION = 66, 0
    RESPONSE_TYPE = _ListTransactionsResponse
    SCHEMA = Schema(
        ("state_filters", CompactArray(CompactString("utf-8"))),
        ("producer_id_filters", CompactArray(Int64)),
        ("tags", TaggedFields),
    )


class ListTransactions(Request[_ListTransactionsV0]):  # type: ignore[misc]
    """The transactional ids of these producers that a broker coordinates."""

    API_KEY = 66

    def __init__(self, producer_ids: list[int]) -> None:
        self._ids = producer_ids

    def build(self, request_struct_class: type[_ListTransactionsV0]) -> _ListTransactionsV0:
        """The request as one version of the protocol has it."""
        return request_struct_class([], self._ids, {})


class _ApiVersionsResponse(Response):  # type: ignore[misc]
    API_KEY, API_VERSION = 18, 3
    SCHEMA = Schema(
        ("error_code", Int16),
        (
            "api_versions",
            CompactArray(("api_key", Int16), ("min_version", Int16), ("max_version", Int16), ("tags", TaggedFields)),
        ),
        ("throttle_time_ms", Int32),
        ("tags", TaggedFields),
    )


class _ApiVersionsV3(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY, API_VERSION = 18, 3
    RESPONSE_TYPE = _ApiVersionsResponse
    SCHEMA = Schema(
        ("client_software_name", CompactString("utf-8")),
        ("client_software_version", CompactString("utf-8")),
        ("tags", TaggedFields),
    )

    def parse_response_header(self, read_buffer: Any) -> ResponseHeader_v0:
        """Of the oldest kind always: a client that asks does not know yet what the broker speaks."""
        return ResponseHeader_v0.decode(read_buffer)


class ApiVersions(Request[_ApiVersionsV3]):  # type: ignore[misc]
    """What a broker speaks, and which features its program supports."""

    API_KEY = 18

    def build(self, request_struct_class: type[_ApiVersionsV3]) -> _ApiVersionsV3:
        """The request as one version of the protocol has it."""
        return request_struct_class("vigia", "1", {})


_FEATURES = CompactArray(
    ("name", CompactString("utf-8")), ("min_version", Int16), ("max_version", Int16), ("tags", TaggedFields)
)


def supported_features(answer: Any) -> dict[str, int]:
    """Feature → highest level that the broker's program supports, of an answer to `ApiVersions`."""
    tagged = answer.tags.get(0)
    return {} if tagged is None else {name: most for name, _, most, _ in _FEATURES.decode(BytesIO(tagged)) or ()}
