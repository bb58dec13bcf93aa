/*
 * What a call costs: every line times one call of the library, best of many short batches. Calls without work cost what crossing costs;
 * the smallest calls with work stand beside a plain C loop that does the same, without the library's checks, and must agree with it.
 *
 *   overhead [calls]                  calls of each line (2,000,000)
 */
#define _POSIX_C_SOURCE 199309L
#include <equip_kernels.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { D = 64, PAIRS = D / 2, ROWS = 8, BATCH = 1000 };

static void check(equip_status status, const char *what) {
    if (status == EQUIP_STATUS_OK) return;
    fprintf(stderr, "%s: %s, %s\n", what, equip_status_name(status), equip_last_error());
    exit(1);
}
#define CHECK(call) check(call, #call)

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static long batches = 2000;

/* The barrier keeps the compiler from moving work out of the loop. */
#define TIME(result, call)                                          \
    do {                                                            \
        result = HUGE_VAL;                                          \
        for (long batch = 0; batch < batches; batch++) {            \
            double start = now();                                   \
            for (int i = 0; i < BATCH; i++) {                       \
                call;                                               \
                __asm__ volatile("" ::: "memory");                  \
            }                                                       \
            result = fmin(result, (now() - start) / BATCH);         \
        }                                                           \
    } while (0)

#define NOTHING(what, call)                     \
    do {                                        \
        double ns;                              \
        TIME(ns, CHECK(call));                  \
        printf("  %-46s %7.1f ns\n", what, ns); \
    } while (0)

/* Both write to the same memory; what they wrote is compared. */
#define WORK(what, call, plain, written, count)                                                     \
    do {                                                                                            \
        double library, c;                                                                          \
        TIME(c, plain);                                                                             \
        memcpy(expected, written, sizeof(float) * (count));                                         \
        TIME(library, CHECK(call));                                                                 \
        agree(what, written, count);                                                                \
        printf("  %-46s %7.1f ns, plain C %7.1f, over it %6.1f\n", what, library, c, library - c); \
    } while (0)

static float expected[D], input[D], output[D], keys[ROWS * D], values[ROWS * D], query[D], weights[ROWS * D], cosines[PAIRS], sines[PAIRS];

static void agree(const char *what, const float *written, int count) {
    float sum = 0;
    for (int i = 0; i < count; i++) {
        sum += fabsf(written[i]);
        if (fabsf(written[i] - expected[i]) <= 1e-4f * (1 + fabsf(expected[i]))) continue;
        fprintf(stderr, "%s: element %d is %g, plain C has %g\n", what, i, written[i], expected[i]);
        exit(1);
    }
    if (sum > 0) return;
    fprintf(stderr, "%s: all zeros\n", what);
    exit(1);
}

static void rotate(const float *from, float *to) {
    for (int i = 0; i < PAIRS; i++) {
        float x = from[i], y = from[i + PAIRS];
        to[i] = x * cosines[i] - y * sines[i];
        to[i + PAIRS] = y * cosines[i] + x * sines[i];
    }
}

static void fill(int rotation, double *frequencies) {
    for (int i = 0; i < PAIRS; i++) {
        cosines[i] = (float)cos(rotation * frequencies[i]);
        sines[i] = (float)sin(rotation * frequencies[i]);
    }
}

static void attend(int tokens) {
    float scores[ROWS], largest = -HUGE_VALF, sum = 0;
    for (int t = 0; t < tokens; t++) {
        float score = 0;
        for (int i = 0; i < D; i++) score += query[i] * keys[t * D + i];
        scores[t] = score / sqrtf(D);
        largest = fmaxf(largest, scores[t]);
    }
    memset(output, 0, sizeof output);
    for (int t = 0; t < tokens; t++) {
        float weight = expf(scores[t] - largest);
        sum += weight;
        for (int i = 0; i < D; i++) output[i] += weight * values[t * D + i];
    }
    for (int i = 0; i < D; i++) output[i] /= sum;
}

static void multiply(void) {
    for (int row = 0; row < ROWS; row++) {
        float sum = 0;
        for (int i = 0; i < D; i++) sum += weights[row * D + i] * input[i];
        output[row] = sum;
    }
}

static void randomize(float *values_, int count) {
    static uint32_t x = 1;
    for (int i = 0; i < count; i++) {
        x = x * 1664525u + 1013904223u;
        values_[i] = (float)(x >> 8) / 8388608.0f - 1.0f;
    }
}

static int32_t __attribute__((noinline)) function(int32_t x) {
    __asm__ volatile("" : "+r"(x));
    return x;
}

int main(int argc, char **argv) {
    if (argc > 1) batches = atol(argv[1]) / BATCH;
    if (batches < 1) return 2;
    equip_context *context;
    CHECK(equip_context_create(NULL, &context));
    equip_rope_options rope_options;
    equip_rope *rope;
    CHECK(equip_rope_options_init(&rope_options, sizeof rope_options));
    rope_options.head_dim = D;
    CHECK(equip_rope_create(&rope_options, &rope));
    equip_policy_options policy_options;
    equip_policy *policy;
    CHECK(equip_policy_options_init(&policy_options, sizeof policy_options));
    policy_options.budget_tokens = ROWS;
    policy_options.sink_tokens = 2;
    CHECK(equip_policy_create("streaming", &policy_options, &policy));
    equip_cache_options cache_options = {.struct_size = sizeof cache_options, .layers = 1, .heads = 1, .kv_heads = 1, .head_dim = D, .positions = EQUIP_POSITIONS_CACHE};
    equip_cache *cache;
    CHECK(equip_cache_create(&cache_options, rope, policy, &cache));

    randomize(input, D);
    randomize(query, D);
    randomize(keys, ROWS * D);
    randomize(values, ROWS * D);
    randomize(weights, ROWS * D);
    double frequencies[PAIRS];
    for (int i = 0; i < PAIRS; i++) frequencies[i] = pow(10000.0, -2.0 * i / D);
    int32_t isa, threads, zero = 0, seven = 7, slot = 0, first[2] = {0, 1}, none = 0;
    int64_t bytes, slots, tokens;
    equip_attention_shape shape = {sizeof shape, 1, 1, D, EQUIP_TYPE_F32, 0};
    equip_attention_run run = {keys, values, query, NULL, 1, 0};
    equip_matrix matrix = {.struct_size = sizeof matrix, .rows = ROWS, .columns = D, .data = weights};
    double floor_;
    TIME(floor_, function(isa = 1));
    printf("equip %s, %s; a C function that does nothing: %.1f ns\nCalls without work\n", equip_version(), equip_level(), floor_);
    NOTHING("equip_context_query", equip_context_query(context, &isa, &threads));
    NOTHING("equip_rope_fill, no rotation", equip_rope_fill(rope, NULL, 0, NULL, NULL));
    NOTHING("equip_rope_rotate, no token", equip_rope_rotate(context, rope, NULL, NULL, NULL, NULL, 0, 8));
    NOTHING("equip_rope_rotate_stored, no row", equip_rope_rotate_stored(context, rope, NULL, EQUIP_TYPE_F32, 0, cosines, sines));
    NOTHING("equip_attention_decode, no stream", equip_attention_decode(context, &shape, NULL, 0, &none, 0, NULL));
    NOTHING("equip_gemv_rows, no row", equip_gemv_rows(context, &matrix, NULL, 0, input, NULL));
    NOTHING("equip_kv_compact, no row", equip_kv_compact(keys, EQUIP_TYPE_F32, D, ROWS, NULL, 0));
    NOTHING("equip_top_k, none", equip_top_k(NULL, 0, 0, NULL, 0));
    NOTHING("equip_policy_choose, room left", equip_policy_choose(policy, cache, 0, 0, &slot));
    NOTHING("equip_cache_bytes", equip_cache_bytes(cache, &bytes));
    NOTHING("equip_cache_positions, none", equip_cache_positions(cache, 0, 0, NULL, 0, &slots, &tokens));

    printf("The smallest calls with work, head_dim %d, float32\n", D);
    WORK("equip_rope_fill, one rotation", equip_rope_fill(rope, &seven, 1, cosines, sines), fill(seven, frequencies), cosines, PAIRS);
    WORK("equip_rope_rotate, one row", equip_rope_rotate(context, rope, input, output, cosines, sines, 1, 1), rotate(input, output), output, D);
    WORK("equip_kv_scatter, one row", equip_kv_scatter(context, input, &zero, 1, D, output, EQUIP_TYPE_F32, 1), memcpy(output, input, sizeof output), output, D);
    WORK("equip_attention_decode, one head, one row", equip_attention_decode(context, &shape, &run, 1, first, 1, output), attend(1), output, D);
    run.tokens = ROWS;
    WORK("equip_attention_decode, one head, eight rows", equip_attention_decode(context, &shape, &run, 1, first, 1, output), attend(ROWS), output, D);
    WORK("equip_gemv, 8 x 64", equip_gemv(context, &matrix, input, NULL, 0, output), multiply(), output, ROWS);

    CHECK(equip_cache_destroy(cache));
    CHECK(equip_policy_destroy(policy));
    CHECK(equip_rope_destroy(rope));
    CHECK(equip_context_destroy(context));
    return 0;
}
