"""The random streams of `worker/src/nn/rng.rs` in NumPy, so that both sides of
a comparison draw the same weights, batches and noise: ChaCha8, keyed by the
BLAKE3 hash of (seed, purpose, index)."""
import struct

import numpy as np
from blake3 import blake3

WORDS = np.array(struct.unpack("<4I", b"expand 32-byte k"), np.uint32)


def chacha8(key, counters):
    """The blocks of some counters: `[len(counters), 16]` words."""
    n = len(counters)
    start = np.empty((16, n), np.uint32)
    start[:4] = WORDS[:, None]
    start[4:12] = np.frombuffer(key, "<u4")[:, None]
    start[12] = counters & 0xFFFFFFFF
    start[13] = counters >> 32
    start[14:] = 0
    x = start.copy()

    def quarter(a, b, c, d):
        for to, add, turn, by in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            x[to] += x[add]
            x[turn] ^= x[to]
            x[turn] = (x[turn] << np.uint32(by)) | (x[turn] >> np.uint32(32 - by))

    for _ in range(4):
        for i in range(4):
            quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return (x + start).T


class Stream:
    def __init__(self, seed, purpose, index):
        name = struct.pack("<QQ", seed, index) + purpose.encode()
        self.key = blake3(name, derive_key_context="ablate random stream v1").digest()
        self.words, self.block = np.empty(0, np.uint32), 0

    def u32(self, count):
        while len(self.words) < count:
            blocks = max(4, (count - len(self.words) + 15) // 16)
            counters = np.arange(self.block, self.block + blocks, dtype=np.uint64)
            self.block += blocks
            self.words = np.concatenate([self.words, chacha8(self.key, counters).ravel()])
        taken, self.words = self.words[:count], self.words[count:]
        return taken

    def u64(self, count):
        low, high = self.u32(2 * count).astype(np.uint64).reshape(count, 2).T
        return low | high << np.uint64(32)

    def signed(self, count):
        """Uniform in (-1, 1), f32."""
        odd = 2 * (self.u32(count) >> np.uint32(8)).astype(np.float64) + 1
        return (odd / 2.0**24 - 1).astype(np.float32)

    def below(self, n):
        unbiased = 2**64 - 1 - (2**64 - 1) % n
        while True:
            draw = int(self.u64(1)[0])
            if draw < unbiased:
                return draw % n

    def normals(self, count):
        pairs = (count + 1) // 2
        unit = (self.u64(2 * pairs) >> np.uint64(11)).astype(np.float64) / 2.0**53
        radius, angle = np.sqrt(-2 * np.log(1 - unit[::2])), 2 * np.pi * unit[1::2]
        both = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
        return both.astype(np.float32).ravel()[:count]

    def permutation(self, n):
        order = list(range(n))
        for last in range(n - 1, 0, -1):
            other = self.below(last + 1)
            order[last], order[other] = order[other], order[last]
        return order
