"""What a decoder process and the process that owns it say to each other, over one socket.

Request: memory and CPU seconds that the picture may take, its length, its bytes. Answer: a problem (its place in
`PROBLEMS`, counted from one) with a short text, or the size as sent and the pixels. Nothing is trusted in an answer:
the process may have been taken over by the picture that it decoded.
"""

from __future__ import annotations

import struct
from typing import Final

from inference.findings import ProblemCode

READY: Final = b"R"
REQUEST: Final = struct.Struct(">QdQ")
#: Problem or 0; width and height as sent; rows and columns of the pixels that follow; length of the text that follows.
ANSWER: Final = struct.Struct(">BIIIIH")
PROBLEMS: Final = tuple(ProblemCode)
LONGEST_TEXT: Final = 200
