/*
 * equip_kernels.h - attention, RoPE, linear and in-place KV-cache kernels, and the eviction policies of Equip, for C.
 *
 * Linux x86-64. Two libraries export the same functions: libequip_kernels_v3.so needs AVX2 and FMA (x86-64-v3),
 * libequip_kernels_v4.so AVX-512 F, BW, CD, DQ and VL (x86-64-v4) as well. A library for more than the processor has ends the process
 * at its first call, so choose before you load: equip_loader.c does.
 *
 * Words     A slot is a physical row, a position the logical index that RoPE sees, a rotation the index by which a stored key has
 *           been rotated, a run a stretch of live rows attended with one rotated copy of the query. A group is the
 *           heads / kv_heads query heads that share one KV head.
 * Shapes    [tokens, kv_heads, head_dim] is row-major, innermost last, without padding. Ranges are half-open.
 * Counts    are in elements unless they are called bytes or size. A count must be 0 or more and a float32 array at most 2^31 - 1
 *           elements; products are checked in 64 bits. Where a count is 0 its pointer may be NULL, else a NULL is refused.
 * Pointers  Aligned to their element (structs to 8); anything else is refused. Memory that is written must lie apart from all
 *           other memory of the call, unless a function says that it may be the same; overlap is refused. The library
 *           cannot know how long your arrays are: it reads and writes exactly the elements declared, and no padding.
 * Threads   A call computes on the threads of its context: with 1 thread on the calling thread alone, so that you may call from your
 *           own pool with one context for each of your threads. Ropes may be used by any number of threads at a time. A context, a
 *           cache or a policy is for one thread at a time: a second one gets EQUIP_STATUS_BUSY and nothing is done.
 *           Same path, thread count and input give the same bits, whatever the alignment.
 * Errors    Every function that can fail returns an equip_status; equip_last_error() has the words. No exception, signal or abort
 *           comes out of a call whose pointers point to the memory declared. "unchanged" below means that a call that
 *           fails has changed nothing but its out-parameters; where outputs may be half written it is said.
 * Handles   are numbers in the dress of pointers: never read through them. A closed, invented or wrong one is refused.
 *           destroy(NULL) does nothing.
 * Process   The library cannot be unloaded. It brings the .NET runtime: two threads, handlers for SIGSEGV and SIGFPE (which pass on what
 *           is not its own) and one real-time signal. After fork() without exec, use it in the parent only.
 * Structs   begin with struct_size = sizeof the struct as you compiled it; fields are only ever appended. A longer struct than the library
 *           knows is accepted if the rest is zero, else EQUIP_STATUS_UNSUPPORTED. reserved fields are 0.
 * Floats    Arithmetic is float32. A NaN in a row or a query makes NaN of the heads that see it and of no others; a head with nothing to
 *           attend to gives zeros.
 */
#ifndef EQUIP_KERNELS_H
#define EQUIP_KERNELS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Raised when a program compiled with an older header would no longer work. Compare with equip_abi_version(). */
#define EQUIP_ABI_VERSION 1

typedef int32_t equip_status;
enum {
    EQUIP_STATUS_OK = 0,
    EQUIP_STATUS_INVALID_ARGUMENT = 1, /* a value, pointer or size; the state is unchanged */
    EQUIP_STATUS_INVALID_HANDLE = 2,   /* closed, never opened, or of another kind; the state is unchanged */
    EQUIP_STATUS_INVALID_STATE = 3,    /* the object cannot do this now; the state is unchanged */
    EQUIP_STATUS_BUSY = 4,             /* the object is in use by another thread; the state is unchanged */
    EQUIP_STATUS_UNSUPPORTED = 5,      /* not on this processor or not in this version; the state is unchanged */
    EQUIP_STATUS_OUT_OF_MEMORY = 6,    /* the state is unchanged */
    EQUIP_STATUS_INTERNAL = 7          /* a bug of the library: destroy the objects of the call */
};

/* How numbers are stored. */
enum {
    EQUIP_TYPE_F32 = 0,  /* IEEE binary32 */
    EQUIP_TYPE_F16 = 1,  /* IEEE binary16 */
    EQUIP_TYPE_BF16 = 2, /* the upper half of a binary32 */
    EQUIP_TYPE_Q8 = 3    /* weights only: int8 in blocks of 32 along a row, each with a binary16 scale */
};

/* Code paths. */
enum { EQUIP_ISA_AUTO = 0, EQUIP_ISA_SCALAR = 1, EQUIP_ISA_AVX2 = 2, EQUIP_ISA_AVX512 = 3 };

typedef struct equip_context equip_context; /* code path, threads, scratch memory */
typedef struct equip_rope equip_rope;       /* the rotation of a model; never changes */
typedef struct equip_policy equip_policy;   /* decides which tokens of one sequence stay */
typedef struct equip_cache equip_cache;     /* K and V of one sequence, all layers */

/* The library */

/* EQUIP_ABI_VERSION of the library. */
uint32_t equip_abi_version(void);

/* Its version, such as "0.1.0". Strings of the library live as long as the process. */
const char *equip_version(void);

/* What it was compiled for: "x86-64-v3" or "x86-64-v4". */
const char *equip_level(void);

/* What failed in the calling thread's last failing call, in English; "" if nothing has. Valid until the thread's next failure. */
const char *equip_last_error(void);

/* The name of a status, or NULL. */
const char *equip_status_name(equip_status status);

/* 1 if the path can be forced on this processor with this library, else 0. */
int32_t equip_isa_supported(int32_t isa);

/* Contexts */

typedef struct equip_context_options {
    uint32_t struct_size;
    int32_t isa;     /* EQUIP_ISA_*; AUTO is the widest path that does not throttle, or what the variable EQUIP_ISA names */
    int32_t threads; /* 1: the calling thread alone; 0: one a processor; at most 256, the caller's included */
    int32_t reserved;
} equip_context_options;

/* Makes a context. options may be NULL: AUTO, 1 thread. UNSUPPORTED if the path does not run here. */
equip_status equip_context_create(const equip_context_options *options, equip_context **context);

/* Stops its threads and frees it. BUSY while a call uses it. */
equip_status equip_context_destroy(equip_context *context);

/* The path and the threads that it has. */
equip_status equip_context_query(equip_context *context, int32_t *isa, int32_t *threads);

/* RoPE (arXiv 2104.09864) */

enum { EQUIP_ROPE_DEFAULT = 0, EQUIP_ROPE_LINEAR = 1, EQUIP_ROPE_LLAMA3 = 2, EQUIP_ROPE_YARN = 3 };
enum {
    EQUIP_ROPE_HALF_SPLIT = 0, /* element i turns with i + rotary_dim / 2 (Hugging Face) */
    EQUIP_ROPE_INTERLEAVED = 1 /* element 2 i turns with 2 i + 1 (Meta, GGUF) */
};

typedef struct equip_rope_options {
    uint32_t struct_size;
    int32_t head_dim;              /* elements of a row, 2 to 1024 */
    int32_t rotary_dim;            /* leading elements that turn, even; 0 for all */
    int32_t type;                  /* EQUIP_ROPE_DEFAULT ... YARN */
    int32_t layout;                /* EQUIP_ROPE_HALF_SPLIT or INTERLEAVED */
    int32_t original_max_positions; /* llama3, yarn: the context first trained on */
    double theta;                  /* the base, over 1 */
    double factor;                 /* linear, llama3, yarn: over 0 */
    double low_frequency_factor;   /* llama3 */
    double high_frequency_factor;  /* llama3: over low_frequency_factor */
    double attention_factor;       /* yarn: factor of cos and sin; 0 for the paper's */
    double mscale;                 /* yarn; 0 if absent */
    double mscale_all_dim;         /* yarn; 0 if absent */
    double beta_fast;              /* yarn */
    double beta_slow;              /* yarn */
    int32_t truncate;              /* yarn: round the correction range outward (0 or 1) */
    int32_t reserved;
} equip_rope_options;

/* Fills in defaults (theta 10000, no scaling); head_dim is yours to set. struct_size is sizeof(equip_rope_options). */
equip_status equip_rope_options_init(equip_rope_options *options, uint32_t struct_size);

/* Computes the inverse frequencies, in double. */
equip_status equip_rope_create(const equip_rope_options *options, equip_rope **rope);
equip_status equip_rope_destroy(equip_rope *rope);

/* Pairs that turn: rotary_dim / 2. */
equip_status equip_rope_pairs(equip_rope *rope, int32_t *pairs);

/* Cosines and sines, [count, pairs], of rotations [count] (any int32), angles in double, times the attention factor. */
equip_status equip_rope_fill(equip_rope *rope, const int32_t *rotations, int64_t count, float *cos, float *sin);

/* Cosines and sines, [pairs], of one further rotation of rotated rows: without the attention factor. */
equip_status equip_rope_fill_delta(equip_rope *rope, int32_t delta, float *cos, float *sin);

/*
 * Rotates input [tokens, heads, head_dim] to output; cos and sin are [tokens, pairs]. Elements beyond rotary_dim are copied.
 * output may be input. Fails before anything is written.
 */
equip_status equip_rope_rotate(equip_context *context, equip_rope *rope, const float *input, float *output, const float *cos, const float *sin,
                               int64_t tokens, int64_t heads);

/*
 * Rotates stored rows [count, head_dim] of a type (F32, F16, BF16) in place by one rotation; cos and sin are [pairs]. 16-bit rows are
 * rounded every time: rotate one once at most.
 */
equip_status equip_rope_rotate_stored(equip_context *context, equip_rope *rope, void *rows, int32_t type, int64_t count, const float *cos,
                                      const float *sin);

/* Slots in your own storage */

/*
 * Writes one row a KV head into its slot: rows [kv_heads, head_dim] in float32 to storage[h][slots[h]] of storage
 * [kv_heads, capacity, head_dim] in a type (F32, F16, BF16), rounded to nearest even. Nothing else moves: this is how a token is evicted
 * and the next one cached in place. All slots are checked first. head_dim is 1 to 256. storage and capacity are int32-sized counts.
 */
equip_status equip_kv_scatter(equip_context *context, const float *rows, const int32_t *slots, int32_t kv_heads, int32_t head_dim, void *storage,
                              int32_t type, int64_t capacity);

/*
 * Keeps rows keep [count], strictly ascending, of storage [capacity, head_dim] in place: row i becomes row keep[i]. What lies behind row
 * count stays as it was. keep may not overlap the storage.
 */
equip_status equip_kv_compact(void *storage, int32_t type, int32_t head_dim, int64_t capacity, const int32_t *keep, int64_t count);

/* Attention */

typedef struct equip_attention_shape {
    uint32_t struct_size;
    int32_t heads;      /* query heads, a multiple of kv_heads */
    int32_t kv_heads;   /* at least 1 */
    int32_t head_dim;   /* a multiple of 16, up to 256 */
    int32_t cache_type; /* how K and V rows are stored: F32, F16 or BF16 */
    float scale;        /* factor of every score, finite; 0 for 1 / sqrt(head_dim) */
} equip_attention_shape;

typedef struct equip_attention_run {
    const void *keys;      /* K rows [tokens, head_dim] in the cache type */
    const void *values;    /* V rows, likewise */
    const float *queries;  /* [group, head_dim], rotated for this run */
    float *column_weights; /* NULL, or [tokens]: receives the softmax probability of every row, summed over the group */
    int32_t tokens;        /* rows, 0 or more */
    int32_t reserved;
} equip_attention_run;

/*
 * Attention of one query token a sequence over the runs of its cache, by an online softmax across runs; the order of rows carries no
 * meaning. Stream s is KV head s % kv_heads of sequence s / kv_heads and owns runs [first_run[s], first_run[s + 1]); first_run is
 * [streams + 1], ascending, and streams a multiple of kv_heads. output is [streams, group, head_dim]. output and column weights may overlap
 * nothing else; runs may share rows and queries. Fails before anything is written.
 */
equip_status equip_attention_decode(equip_context *context, const equip_attention_shape *shape, const equip_attention_run *runs, int64_t run_count,
                                    const int32_t *first_run, int64_t streams, float *output);

typedef struct equip_prefill_keys {
    uint32_t struct_size;
    int32_t past;        /* rows before the first new token's */
    int32_t window;      /* 0: everything before; else the most recent rows that a token sees, its own included */
    int32_t sinks;       /* with a window: first rows that every token sees besides */
    int64_t head_stride; /* rows from one KV head to the next, at least past + tokens */
    const void *keys;    /* K rows [kv_heads, past + tokens, head_dim] in the cache type, heads head_stride rows apart, in order of age */
    const void *values;  /* V rows, likewise; not read by scores */
} equip_prefill_keys;

/*
 * Causal attention of tokens (at least 1) new tokens, whose rows are the last of keys. queries, sink_queries (NULL: the queries are used on the
 * sinks too) and output are [tokens, heads, head_dim]. Fails before anything is written.
 */
equip_status equip_attention_prefill(equip_context *context, const equip_attention_shape *shape, const equip_prefill_keys *keys, const float *queries,
                                     const float *sink_queries, int64_t tokens, float *output);

/* Linear layers */

typedef struct equip_matrix {
    uint32_t struct_size;
    int32_t type;       /* EQUIP_TYPE_* */
    int32_t rows;       /* outputs of y = W x, at least 1 */
    int32_t columns;    /* inputs, at least 1; Q8: a multiple of 32 */
    const void *data;   /* [rows, columns]; Q8: the signed integers */
    const void *scales; /* Q8: binary16 [rows, columns / 32]; else not used */
} equip_matrix;

/*
 * output [rows] = W input [columns] + bias [rows] (NULL for none); added to output where accumulate is not 0. For Q8 the input is rounded
 * to 8 bits in blocks of 32. Fails before anything is written.
 */
equip_status equip_gemv(equip_context *context, const equip_matrix *weights, const float *input, const float *bias, int32_t accumulate, float *output);

/* The same for input [batch, columns] and output [batch, rows], batch at least 1. Inputs are rounded for Q8 up to a batch of 16. */
equip_status equip_gemm(equip_context *context, const equip_matrix *weights, const float *input, int64_t batch, const float *bias, int32_t accumulate,
                        float *output);

/* output[i] = row rows[i] of W times input [columns], for count rows in any order; repetition is allowed. */
equip_status equip_gemv_rows(equip_context *context, const equip_matrix *weights, const int32_t *rows, int64_t count, const float *input, float *output);

/* Quantises source (F32, F16, BF16) to destination (Q8, same shape): its data and scales are written through the const. */
equip_status equip_quantize_q8(equip_context *context, const equip_matrix *source, const equip_matrix *destination);

/* Scores */

/*
 * Probabilities [heads, window, past + window] of the last window (at least 1) queries [window, heads, head_dim] against all keys, causal
 * inside the window: what SnapKV (arXiv 2404.14469) and its relatives score by. keys->window and sinks are 0.
 */
equip_status equip_score_window(equip_context *context, const equip_attention_shape *shape, const equip_prefill_keys *keys, const float *queries,
                                int64_t window, float *probabilities);

/*
 * sums [kv_heads, past + tokens]: the probability that every row received from tokens (at least 1) queries [tokens, heads, head_dim], summed over
 * queries and the group; what H2O (arXiv 2306.14048) starts from. keys->window and sinks are 0.
 */
equip_status equip_score_column_sums(equip_context *context, const equip_attention_shape *shape, const equip_prefill_keys *keys, const float *queries,
                                     int64_t tokens, float *sums);

/* Pools scores [count] with stride 1 to output [count]; kernel is odd, 1 to 63. mode 0: mean, 0 outside; 1: maximum. */
equip_status equip_score_pool(equip_context *context, int32_t mode, const float *scores, int64_t count, int32_t kernel, float *output);

/*
 * The indices [k] of the k largest of values [count]: ascending by index, or largest value first where ordered is not 0. Ties go to the lower
 * index, NaN is lowest. k is at most count.
 */
equip_status equip_top_k(const float *values, int64_t count, int32_t ordered, int32_t *indices, int64_t k);

/* Policies */

typedef struct equip_policy_options {
    uint32_t struct_size;
    int32_t budget_tokens; /* tokens kept per KV head, the newest included */
    int32_t sink_tokens;   /* first tokens that are never evicted */
    int32_t recent_tokens; /* newest tokens that are never evicted; 0 for the policy's own */
    int32_t window_tokens; /* newest tokens of a prompt that stay and score the others; 0 for the policy's own */
    int32_t pool_kernel;   /* odd number of neighbouring scores that are pooled; 0 for the policy's own */
    int32_t pool_mode;     /* 0: the policy's own, 1: mean, 2: maximum */
    int32_t allocation;    /* 0: the policy's own, 1: even, 2: heads of a layer compete, 3: all layers, 4: all layers by raw scores */
    int32_t reading;       /* 0: the policy's own; else how a group's score is read, see the ScoreReading enumeration */
    int32_t then;          /* after a pruned prompt 0: the policy's own, 1: grow, 2: overwrite the oldest, 3: overwrite the least attended, 4: whole pages */
} equip_policy_options;

typedef struct equip_policy_info {
    uint32_t struct_size;            /* set by you */
    int32_t capacity_tokens;         /* rows a head holds at most; 0 if the cache grows */
    int32_t recent_tokens;           /* newest tokens never evicted by a policy that scores, else 0 */
    int32_t page_tokens;             /* page size that suits it; 0 for one page of the capacity */
    int32_t prompt_query_tokens;     /* last queries of a prompt that it reads; INT32_MAX for all */
    int32_t wants_unrotated_queries; /* whether it wants them as they were before rotation */
    int32_t observes_attention;      /* whether equip_policy_observe must be called at every step */
    int32_t prompt_window;           /* 0, or the window of a prompt's attention (equip_prefill_keys) */
    int32_t prompt_sinks;            /* its sinks */
    int32_t lossy;                   /* whether tokens are lost */
} equip_policy_info;

/* How many policies there are, and their names ("streaming", "h2o", ...); NULL beyond. */
int32_t equip_policy_count(void);
const char *equip_policy_name(int32_t index);

/* Fills in defaults (budget 512, 4 sinks). struct_size is sizeof(equip_policy_options). */
equip_status equip_policy_options_init(equip_policy_options *options, uint32_t struct_size);

/* Makes the policy of one sequence. INVALID_ARGUMENT names what does not fit. */
equip_status equip_policy_create(const char *name, const equip_policy_options *options, equip_policy **policy);
equip_status equip_policy_destroy(equip_policy *policy);
equip_status equip_policy_query(equip_policy *policy, equip_policy_info *info);

/*
 * Chooses the slots [kv_heads] that the token at position takes in a layer: a live one to overwrite or the next free one. Ask once a layer and
 * step, then write with equip_cache_write: policies that overwrite in turn have moved on. INVALID_STATE if no token can go.
 */
equip_status equip_policy_choose(equip_policy *policy, equip_cache *cache, int32_t layer, int32_t position, int32_t *slots);

/*
 * Tells the policy what every slot received at position: the column_weights [kv_heads, stride] of equip_cache_attend. Only needed if
 * observes_attention; harmless otherwise.
 */
equip_status equip_policy_observe(equip_policy *policy, equip_cache *cache, int32_t layer, int32_t position, const float *column_weights, int64_t stride);

typedef struct equip_prompt {
    uint32_t struct_size;
    int32_t tokens;             /* rows, at least 1 */
    int32_t first_position;     /* of row 0; the others follow */
    int32_t query_tokens;       /* queries given: those of the last rows, at least what the policy reads */
    const void *keys;           /* K rows [kv_heads, tokens, head_dim] in the cache type, rotated by their positions */
    const void *values;         /* V rows, likewise */
    const float *queries;       /* [query_tokens, heads, head_dim], rotated unless wants_unrotated_queries */
    const equip_matrix *output; /* the layer's output projection [hidden, heads * head_dim] for policies that score by it, or NULL */
} equip_prompt;

/*
 * Lets the policy store the rows of a layer's prompt that stay, layer by layer in ascending order, into layers that are empty
 * (INVALID_STATE else). equip_cache_positions then is the keep-list. If it fails, the layer is empty again; a policy whose layers compete may
 * have dropped rows of earlier layers: clear the cache then.
 */
equip_status equip_policy_prefill(equip_context *context, equip_policy *policy, equip_cache *cache, int32_t layer, const equip_prompt *prompt);

/*
 * The keep-list alone, for a cache of your own: kept is [kv_heads, prompt->tokens], of which the first counts[h] of every head are row
 * numbers, ascending; counts is [kv_heads]. layer is one of layers (some policies keep fewer rows in later ones). rope is needed by
 * "expected" only, else NULL. UNSUPPORTED for policies whose layers compete. kept and counts are half written at worst.
 */
equip_status equip_policy_keep(equip_context *context, equip_policy *policy, const equip_attention_shape *shape, equip_rope *rope, int32_t layer,
                               int32_t layers, const equip_prompt *prompt, int32_t *kept, int64_t *counts);

/* The cache */

enum {
    EQUIP_POSITIONS_ORIGINAL = 0,  /* a key keeps the position it was born with */
    EQUIP_POSITIONS_CACHE = 1,     /* its rank among the live tokens: TWO_QUERY for sinks and a window, else LAZY */
    EQUIP_POSITIONS_TWO_QUERY = 2, /* the window in an ever-growing frame, the sinks by a second copy of the query */
    EQUIP_POSITIONS_LAZY = 3       /* any holes: an offset a slot, and one copy of the query an offset */
};

typedef struct equip_cache_options {
    uint32_t struct_size;
    int32_t layers;          /* at least 1 */
    int32_t heads;           /* query heads, a multiple of kv_heads */
    int32_t kv_heads;        /* at least 1; layers * kv_heads at most 2^20 */
    int32_t head_dim;        /* a multiple of 16, up to 256 */
    int32_t cache_type;      /* F32, F16 or BF16 */
    int32_t page_tokens;     /* rows of a page, at most 2^20; 0 for one page of the capacity, or 256 where the cache grows */
    int32_t positions;       /* EQUIP_POSITIONS_*; other than ORIGINAL they need a rope */
    int32_t capacity_tokens; /* rows a head may hold; 0 if it grows. With a policy 0: the policy's is used */
    int32_t sink_tokens;     /* without a policy: slots [0, sink_tokens) are sinks, the rest a window. With a policy 0 */
    float scale;             /* factor of every score, finite; 0 for 1 / sqrt(head_dim) */
    int32_t reserved;
} equip_cache_options;

/*
 * Makes an empty cache. With a rope, keys and queries are given unrotated and the cache rotates them; without (NULL), they are given as they are
 * to be attended. policy (or NULL) says how many rows a head holds and which positions are possible; the cache keeps no
 * reference to it. In a cache of TWO_QUERY positions the oldest token after the sinks must be the one that is overwritten.
 */
equip_status equip_cache_create(const equip_cache_options *options, equip_rope *rope, equip_policy *policy, equip_cache **cache);
equip_status equip_cache_destroy(equip_cache *cache);

/*
 * Writes a token into a layer: one K and one V row a KV head; nothing else moves. slots [kv_heads] (NULL: each head's next free one) name live
 * slots, whose tokens are evicted, or the next free ones. keys and values are [kv_heads, head_dim]. Everything is checked and allocated
 * before the first row is written: unchanged if it fails. INVALID_STATE if a head is full and its slot not a live one.
 */
equip_status equip_cache_write(equip_context *context, equip_cache *cache, int32_t layer, int32_t position, const int32_t *slots, const float *keys,
                               const float *values);

/* As write, but every slot must be a live one, so that the cache cannot grow by mistake. */
equip_status equip_cache_replace(equip_context *context, equip_cache *cache, int32_t layer, int32_t position, const int32_t *slots, const float *keys,
                                 const float *values);

/*
 * Attention of the token at position (already written) over a layer's live rows. queries and output are [heads, head_dim]. column_weights is
 * NULL, or [kv_heads, stride] with a stride of at least the slots of a head: receives by slot the probability summed over the group, 0
 * for slots without a row.
 */
equip_status equip_cache_attend(equip_context *context, equip_cache *cache, int32_t layer, int32_t position, const float *queries, float *output,
                                float *column_weights, int64_t stride);

/* Keeps slots keep [count], strictly ascending and live, of a head: slot i becomes slot keep[i]. ORIGINAL positions only (UNSUPPORTED else). */
equip_status equip_cache_compact(equip_cache *cache, int32_t layer, int32_t kv_head, const int32_t *keep, int64_t count);

/* Forgets all tokens and returns the memory. */
equip_status equip_cache_clear(equip_cache *cache);

/* Bytes of the pages held, K and V. */
equip_status equip_cache_bytes(equip_cache *cache, int64_t *bytes);

/*
 * The slots and the live tokens of a head, and the position that every slot holds (-1: none) in positions [size], where size is 0 or at
 * least the slots.
 */
equip_status equip_cache_positions(equip_cache *cache, int32_t layer, int32_t kv_head, int32_t *positions, int64_t size, int64_t *slots,
                                   int64_t *tokens);

/* The rows of a live slot in float32, [head_dim] each; the key as it is stored, rotated. */
equip_status equip_cache_read(equip_cache *cache, int32_t layer, int32_t kv_head, int32_t slot, float *key, float *value);

/* Bytes of a snapshot taken now. */
equip_status equip_cache_snapshot_size(equip_cache *cache, int64_t *bytes);

/* Writes a snapshot to buffer [size bytes], of which the first equip_cache_snapshot_size are used. Any alignment. */
equip_status equip_cache_snapshot(equip_cache *cache, void *buffer, int64_t size);

/*
 * Replaces the contents by a snapshot of exactly size bytes, of a cache with the same options and rope. What is torn, of another shape or
 * inconsistent is refused, and the cache is unchanged. The state of the decoding policies lies in the cache and comes back with it.
 */
equip_status equip_cache_restore(equip_cache *cache, const void *buffer, int64_t size);

#ifdef __cplusplus
}
#endif

#endif
