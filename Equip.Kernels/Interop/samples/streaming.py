"""The in-place streaming loop over one toy attention layer from Python: ctypes and the array module, nothing else.

    streaming.py PATH/libequip_kernels_v3.so
"""
import array
import ctypes
import math
import random
import sys

LIBRARY = ctypes.CDLL(sys.argv[1])
LIBRARY.equip_version.restype = LIBRARY.equip_level.restype = LIBRARY.equip_last_error.restype = ctypes.c_char_p

HEADS, KV_HEADS, HEAD_DIM, BUDGET, SINKS, TOKENS = 4, 2, 32, 24, 4, 120
ORIGINAL, CACHE = 0, 1


def call(name, *arguments):
    """Calls a function; a status other than 0 raises. Handles and addresses are c_void_p, counts are int64 where the header says so."""
    status = getattr(LIBRARY, name)(*arguments)
    if status != 0:
        raise RuntimeError(f"{name}: {status}, {LIBRARY.equip_last_error().decode()}")


def struct(name, **fields):
    """A struct of int32 fields (and one float), with its size first."""
    made = type(name, (ctypes.Structure,), {"_fields_": [("struct_size", ctypes.c_uint32)] + [
        (field, ctypes.c_float if isinstance(value, float) else ctypes.c_int32) for field, value in fields.items()]})
    return made(ctypes.sizeof(made), *fields.values())


def handle(name, *arguments):
    made = ctypes.c_void_p()
    call(name, *arguments, ctypes.byref(made))
    return made


def address(values):
    return ctypes.c_void_p(values.buffer_info()[0])


class RopeOptions(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_uint32)] + [(name, ctypes.c_int32) for name in (
        "head_dim", "rotary_dim", "type", "layout", "original_max_positions")] + [(name, ctypes.c_double) for name in (
            "theta", "factor", "low_frequency_factor", "high_frequency_factor", "attention_factor", "mscale", "mscale_all_dim",
            "beta_fast", "beta_slow")] + [("truncate", ctypes.c_int32), ("reserved", ctypes.c_int32)]


def rotate(row, rank):
    half = len(row) // 2
    turned = list(row)
    for i in range(half):
        angle = rank * 10000.0 ** (-2.0 * i / len(row))
        turned[i] = row[i] * math.cos(angle) - row[i + half] * math.sin(angle)
        turned[i + half] = row[i + half] * math.cos(angle) + row[i] * math.sin(angle)
    return turned


def reference(queries, keys, values):
    """Attention over the kept tokens, each at its rank; keys and values are lists of tokens."""
    output = []
    for head in range(HEADS):
        kv = head * KV_HEADS // HEADS
        query = rotate(queries[head * HEAD_DIM:(head + 1) * HEAD_DIM], len(keys) - 1)
        scores = [sum(q * k for q, k in zip(query, rotate(row[kv * HEAD_DIM:(kv + 1) * HEAD_DIM], rank))) / math.sqrt(HEAD_DIM)
                  for rank, row in enumerate(keys)]
        weights = [math.exp(score - max(scores)) for score in scores]
        output += [sum(w * row[kv * HEAD_DIM + i] for w, row in zip(weights, values)) / sum(weights) for i in range(HEAD_DIM)]
    return output


context = handle("equip_context_create", None)
options = RopeOptions()
call("equip_rope_options_init", ctypes.byref(options), ctypes.sizeof(options))
options.head_dim = HEAD_DIM
rope = handle("equip_rope_create", ctypes.byref(options))
policy = handle("equip_policy_create", b"streaming", ctypes.byref(struct(
    "PolicyOptions", budget=BUDGET, sinks=SINKS, recent=0, window=0, pool_kernel=0, pool_mode=0, allocation=0, reading=0, then=0)))
cache = handle("equip_cache_create", ctypes.byref(struct(
    "CacheOptions", layers=1, heads=HEADS, kv_heads=KV_HEADS, head_dim=HEAD_DIM, cache_type=0, page_tokens=0, positions=CACHE,
    capacity_tokens=0, sink_tokens=0, scale=0.0, reserved=0)), rope, policy)

numbers = random.Random(42)
kept_keys, kept_values, worst = [], [], 0.0
slots = array.array("i", [0] * KV_HEADS)
output = array.array("f", [0.0] * (HEADS * HEAD_DIM))
for position in range(TOKENS):
    queries, keys, values = (array.array("f", [numbers.gauss(0, 1) * (20 if numbers.random() < 0.02 else 1) for _ in range(count * HEAD_DIM)])
                             for count in (HEADS, KV_HEADS, KV_HEADS))
    call("equip_policy_choose", policy, cache, 0, position, address(slots))
    call("equip_cache_write", context, cache, 0, position, address(slots), address(keys), address(values))
    call("equip_cache_attend", context, cache, 0, position, address(queries), address(output), None, ctypes.c_int64(0))
    if len(kept_keys) == BUDGET:
        del kept_keys[SINKS], kept_values[SINKS]
    kept_keys.append(keys)
    kept_values.append(values)
    if position % 10 == 9:
        worst = max(worst, max(abs(a - b) for a, b in zip(output, reference(queries, kept_keys, kept_values))))

try:
    call("equip_cache_replace", context, cache, 0, TOKENS, None, address(keys), address(values))
    raise SystemExit("a null pointer was accepted")
except RuntimeError as refused:
    print("refused, as it should be:", refused)

for name, made in (("cache", cache), ("policy", policy), ("rope", rope), ("context", context)):
    call(f"equip_{name}_destroy", made)
print(f"equip {LIBRARY.equip_version().decode()}, {LIBRARY.equip_level().decode()}: {TOKENS} tokens through a budget of {BUDGET}, largest error {worst:.2e}")
raise SystemExit(0 if worst < 1e-4 else 1)
