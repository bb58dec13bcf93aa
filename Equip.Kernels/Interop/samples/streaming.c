/*
 * StreamingLLM decoding in place over one toy attention layer: for every token the policy names a slot, the new K and V rows are written
 * into it, and the queries attend what is live. Checked against a scalar reference in double, then timed against a version that closes
 * the hole with memmove and rotates the moved keys.
 *
 *   streaming [window] [steps]        window of the timed part (2048) and steps that are timed (64)
 */
#define _POSIX_C_SOURCE 199309L
#include <equip_kernels.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SINKS = 4 };

static void check(equip_status status, const char *what) {
    if (status == EQUIP_STATUS_OK) return;
    fprintf(stderr, "%s: %s, %s\n", what, equip_status_name(status), equip_last_error());
    exit(1);
}
#define CHECK(call) check(call, #call)

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec * 1e-3;
}

static void *allocate(size_t bytes) {
    void *memory = malloc(bytes);
    if (memory == NULL) exit(1);
    return memory;
}

/* A number in (-1, 1) that depends on the token and the element alone, now and then twenty times as large. */
static float noise(uint32_t token, uint32_t element) {
    uint32_t x = token * 2654435761u ^ element * 40503u ^ 0x9e3779b9u;
    for (int i = 0; i < 2; i++) {
        x ^= x >> 16;
        x *= 0x7feb352du;
        x ^= x >> 15;
        x *= 0x846ca68bu;
    }
    return ((float)(x >> 8) / 8388608.0f - 1.0f) * (x % 53 == 0 ? 20.0f : 1.0f);
}

static void fill(float *row, int count, int token, uint32_t kind) {
    for (int i = 0; i < count; i++) row[i] = noise((uint32_t)token, (uint32_t)i + (kind << 20));
}

typedef struct layer {
    int heads, kv_heads, head_dim, budget;
    equip_context *context;
    equip_rope *rope;
    equip_policy *policy;
    equip_cache *cache;
    float *queries, *keys, *values, *output; /* of the newest token */
    int32_t *slots;
} layer;

static void create(layer *l) {
    equip_context_options context = {sizeof context, EQUIP_ISA_AUTO, 1, 0};
    CHECK(equip_context_create(&context, &l->context));
    equip_rope_options rope;
    CHECK(equip_rope_options_init(&rope, sizeof rope));
    rope.head_dim = l->head_dim;
    CHECK(equip_rope_create(&rope, &l->rope));
    equip_policy_options policy;
    CHECK(equip_policy_options_init(&policy, sizeof policy));
    policy.budget_tokens = l->budget;
    policy.sink_tokens = SINKS;
    CHECK(equip_policy_create("streaming", &policy, &l->policy));
    equip_cache_options cache;
    memset(&cache, 0, sizeof cache);
    cache.struct_size = sizeof cache;
    cache.layers = 1;
    cache.heads = l->heads;
    cache.kv_heads = l->kv_heads;
    cache.head_dim = l->head_dim;
    cache.cache_type = EQUIP_TYPE_F32;
    cache.positions = EQUIP_POSITIONS_CACHE;
    CHECK(equip_cache_create(&cache, l->rope, l->policy, &l->cache));
    l->queries = allocate(sizeof(float) * (size_t)(l->heads * l->head_dim));
    l->output = allocate(sizeof(float) * (size_t)(l->heads * l->head_dim));
    l->keys = allocate(sizeof(float) * (size_t)(l->kv_heads * l->head_dim));
    l->values = allocate(sizeof(float) * (size_t)(l->kv_heads * l->head_dim));
    l->slots = allocate(sizeof(int32_t) * (size_t)l->kv_heads);
}

static void destroy(layer *l) {
    CHECK(equip_cache_destroy(l->cache));
    CHECK(equip_policy_destroy(l->policy));
    CHECK(equip_rope_destroy(l->rope));
    CHECK(equip_context_destroy(l->context));
    free(l->queries);
    free(l->output);
    free(l->keys);
    free(l->values);
    free(l->slots);
}

/* What the model would compute for a token. */
static void project(layer *l, int token) {
    fill(l->queries, l->heads * l->head_dim, token, 0);
    fill(l->keys, l->kv_heads * l->head_dim, token, 1);
    fill(l->values, l->kv_heads * l->head_dim, token, 2);
}

/* The step: evict, insert, attend. */
static void step_in_place(layer *l, int token) {
    CHECK(equip_policy_choose(l->policy, l->cache, 0, token, l->slots));
    CHECK(equip_cache_write(l->context, l->cache, 0, token, l->slots, l->keys, l->values));
    CHECK(equip_cache_attend(l->context, l->cache, 0, token, l->queries, l->output, NULL, 0));
}

/* Rotates a pair by rank * theta^(-2 i / d), in double. */
static double rotated(const float *row, int i, int head_dim, int rank) {
    int half = head_dim / 2, pair = i % half;
    double angle = rank * pow(10000.0, -2.0 * pair / head_dim);
    return i < half ? row[i] * cos(angle) - row[i + half] * sin(angle) : row[i] * cos(angle) + row[i - half] * sin(angle);
}

/* The largest difference to plain attention over the tokens that StreamingLLM keeps, each at its rank. */
static double reference_error(layer *l, int token) {
    int live = token + 1 < l->budget ? token + 1 : l->budget, group = l->heads / l->kv_heads, d = l->head_dim;
    float *row = allocate(sizeof(float) * (size_t)(l->kv_heads * d));
    double *scores = allocate(sizeof(double) * (size_t)live), *sums = allocate(sizeof(double) * (size_t)d), *query = allocate(sizeof(double) * (size_t)d);
    double worst = 0;
    for (int head = 0; head < l->heads; head++) {
        double largest = -1e300, total = 0;
        memset(sums, 0, sizeof(double) * (size_t)d);
        for (int i = 0; i < d; i++) query[i] = rotated(l->queries + head * d, i, d, live - 1);
        for (int rank = 0; rank < live; rank++) {
            int kept = rank < SINKS ? rank : rank + token + 1 - live;
            fill(row, l->kv_heads * d, kept, 1);
            double score = 0;
            for (int i = 0; i < d; i++) score += query[i] * rotated(row + head / group * d, i, d, rank);
            scores[rank] = score / sqrt(d);
            if (scores[rank] > largest) largest = scores[rank];
        }
        for (int rank = 0; rank < live; rank++) {
            int kept = rank < SINKS ? rank : rank + token + 1 - live;
            fill(row, l->kv_heads * d, kept, 2);
            double weight = exp(scores[rank] - largest);
            total += weight;
            for (int i = 0; i < d; i++) sums[i] += weight * row[head / group * d + i];
        }
        for (int i = 0; i < d; i++) worst = fmax(worst, fabs(sums[i] / total - l->output[head * d + i]));
    }
    free(row);
    free(scores);
    free(sums);
    free(query);
    return worst;
}

/* The same cache in order of age: rows [kv_heads, budget, head_dim], the hole closed by memmove, moved keys rotated by -1. */
typedef struct ordered {
    float *keys, *values, *output, *turned, *cos, *sin, *back_cos, *back_sin;
    equip_attention_run *runs;
    int32_t *first;
} ordered;

static void create_ordered(ordered *o, const layer *l) {
    size_t rows = sizeof(float) * (size_t)l->kv_heads * (size_t)l->budget * (size_t)l->head_dim, pairs = sizeof(float) * (size_t)(l->head_dim / 2);
    o->keys = allocate(rows);
    o->values = allocate(rows);
    o->output = allocate(sizeof(float) * (size_t)(l->heads * l->head_dim));
    o->turned = allocate(sizeof(float) * (size_t)(l->heads * l->head_dim));
    o->cos = allocate(pairs);
    o->sin = allocate(pairs);
    o->back_cos = allocate(pairs);
    o->back_sin = allocate(pairs);
    o->runs = allocate(sizeof(equip_attention_run) * (size_t)l->kv_heads);
    o->first = allocate(sizeof(int32_t) * (size_t)(l->kv_heads + 1));
    CHECK(equip_rope_fill_delta(l->rope, -1, o->back_cos, o->back_sin));
}

static void destroy_ordered(ordered *o) {
    free(o->keys);
    free(o->values);
    free(o->output);
    free(o->turned);
    free(o->cos);
    free(o->sin);
    free(o->back_cos);
    free(o->back_sin);
    free(o->runs);
    free(o->first);
}

static void step_memmove(ordered *o, layer *l, int token) {
    int32_t rank = token < l->budget ? token : l->budget - 1;
    size_t d = (size_t)l->head_dim, row = d * sizeof(float), moved = (size_t)(l->budget - SINKS - 1);
    equip_attention_shape shape = {sizeof shape, l->heads, l->kv_heads, l->head_dim, EQUIP_TYPE_F32, 0};
    CHECK(equip_rope_fill(l->rope, &rank, 1, o->cos, o->sin));
    for (int head = 0; head < l->kv_heads; head++) {
        float *keys = o->keys + (size_t)head * (size_t)l->budget * d, *values = o->values + (size_t)head * (size_t)l->budget * d;
        if (token >= l->budget) {
            memmove(keys + SINKS * d, keys + (SINKS + 1) * d, moved * row);
            memmove(values + SINKS * d, values + (SINKS + 1) * d, moved * row);
            CHECK(equip_rope_rotate_stored(l->context, l->rope, keys + SINKS * d, EQUIP_TYPE_F32, (int64_t)moved, o->back_cos, o->back_sin));
        }
        CHECK(equip_rope_rotate(l->context, l->rope, l->keys + (size_t)head * d, keys + (size_t)rank * d, o->cos, o->sin, 1, 1));
        memcpy(values + (size_t)rank * d, l->values + (size_t)head * d, row);
        o->runs[head] = (equip_attention_run){keys, values, o->turned + (size_t)head * (size_t)(l->heads / l->kv_heads) * d, NULL, rank + 1, 0};
        o->first[head] = head;
    }
    o->first[l->kv_heads] = l->kv_heads;
    CHECK(equip_rope_rotate(l->context, l->rope, l->queries, o->turned, o->cos, o->sin, 1, l->heads));
    CHECK(equip_attention_decode(l->context, &shape, o->runs, l->kv_heads, o->first, l->kv_heads, o->output));
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, ascending);
    return values[count / 2];
}

int main(int argc, char **argv) {
    int window = argc > 1 ? atoi(argv[1]) : 2048, steps = argc > 2 ? atoi(argv[2]) : 64;
    if (window <= SINKS + 1 || steps < 1) return 2;
    if (equip_abi_version() != EQUIP_ABI_VERSION) return 2;
    printf("equip %s, %s\n", equip_version(), equip_level());

    layer small = {.heads = 8, .kv_heads = 2, .head_dim = 64, .budget = 64};
    double worst = 0;
    int tokens = 0;
    create(&small);
    for (; tokens < 4 * small.budget + 7; tokens++) {
        project(&small, tokens);
        step_in_place(&small, tokens);
        if (tokens % 7 == 0 || tokens < 3) worst = fmax(worst, reference_error(&small, tokens));
    }
    int64_t bytes = 0;
    CHECK(equip_cache_bytes(small.cache, &bytes));
    printf("%d tokens through a budget of %d: largest error %.2e, %lld bytes\n", tokens, small.budget, worst, (long long)bytes);
    destroy(&small);
    if (!(worst < 1e-4)) return 1;

    layer large = {.heads = 32, .kv_heads = 8, .head_dim = 128, .budget = window};
    ordered o;
    double difference = 0, *in_place = allocate(sizeof(double) * (size_t)steps), *moved = allocate(sizeof(double) * (size_t)steps);
    create(&large);
    create_ordered(&o, &large);
    for (int token = 0; token < window + steps; token++) {
        project(&large, token);
        double start = now();
        step_in_place(&large, token);
        double middle = now();
        step_memmove(&o, &large, token);
        double end = now();
        if (token < window) continue;
        in_place[token - window] = middle - start;
        moved[token - window] = end - middle;
        for (int i = 0; i < large.heads * large.head_dim; i++) difference = fmax(difference, fabs((double)large.output[i] - (double)o.output[i]));
    }
    double fast = median(in_place, steps), slow = median(moved, steps);
    printf("W = %d, 32 / 8 heads of 128, float32, 1 thread: in place %.1f us a step, memmove %.1f us, ratio %.2f, difference %.2e\n", window, fast, slow, slow / fast, difference);
    destroy_ordered(&o);
    destroy(&large);
    free(in_place);
    free(moved);
    return difference < 1e-2 ? 0 : 1;
}
