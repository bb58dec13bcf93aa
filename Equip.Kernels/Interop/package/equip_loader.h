/*
 * equip_loader.h - loads the library that suits the processor. Compile equip_loader.c into your program; link with -ldl where the C library wants it.
 *
 *   equip_api equip;
 *   if (equip_load("/opt/equip/lib", &equip) != 0) return 1;
 *   printf("%s\n", equip.equip_level());
 */
#ifndef EQUIP_LOADER_H
#define EQUIP_LOADER_H

#include "equip_kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Every function of equip_kernels.h. */
#define EQUIP_FUNCTIONS(X) \
    X(equip_abi_version) \
    X(equip_version) \
    X(equip_level) \
    X(equip_last_error) \
    X(equip_status_name) \
    X(equip_isa_supported) \
    X(equip_context_create) \
    X(equip_context_destroy) \
    X(equip_context_query) \
    X(equip_rope_options_init) \
    X(equip_rope_create) \
    X(equip_rope_destroy) \
    X(equip_rope_pairs) \
    X(equip_rope_fill) \
    X(equip_rope_fill_delta) \
    X(equip_rope_rotate) \
    X(equip_rope_rotate_stored) \
    X(equip_kv_scatter) \
    X(equip_kv_compact) \
    X(equip_attention_decode) \
    X(equip_attention_prefill) \
    X(equip_gemv) \
    X(equip_gemm) \
    X(equip_gemv_rows) \
    X(equip_quantize_q8) \
    X(equip_score_window) \
    X(equip_score_column_sums) \
    X(equip_score_pool) \
    X(equip_top_k) \
    X(equip_policy_count) \
    X(equip_policy_name) \
    X(equip_policy_options_init) \
    X(equip_policy_create) \
    X(equip_policy_destroy) \
    X(equip_policy_query) \
    X(equip_policy_choose) \
    X(equip_policy_observe) \
    X(equip_policy_prefill) \
    X(equip_policy_keep) \
    X(equip_cache_create) \
    X(equip_cache_destroy) \
    X(equip_cache_write) \
    X(equip_cache_replace) \
    X(equip_cache_attend) \
    X(equip_cache_compact) \
    X(equip_cache_clear) \
    X(equip_cache_bytes) \
    X(equip_cache_positions) \
    X(equip_cache_read) \
    X(equip_cache_snapshot_size) \
    X(equip_cache_snapshot) \
    X(equip_cache_restore)

/* A pointer to each, under its own name. */
typedef struct equip_api {
#define EQUIP_MEMBER(name) __typeof__(&name) name;
    EQUIP_FUNCTIONS(EQUIP_MEMBER)
#undef EQUIP_MEMBER
} equip_api;

/* 4 for AVX-512 F, BW, CD, DQ and VL, 3 for AVX2, FMA, BMI, LZCNT and MOVBE, both switched on by the system; 0 for less. */
int equip_cpu_level(void);

/*
 * Loads libequip_kernels_v4.so or _v3.so from a directory (NULL: where the dynamic linker looks) and fills in api. 0 on success; -1 where
 * the processor has no AVX2, -2 where the library is not found or lacks a function (dlerror() has the words), -3 where its ABI version differs.
 */
int equip_load(const char *directory, equip_api *api);

#ifdef __cplusplus
}
#endif

#endif
