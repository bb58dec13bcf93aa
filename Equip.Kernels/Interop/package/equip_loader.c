/* See equip_loader.h. Needs libc only. */
#include "equip_loader.h"

#include <cpuid.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static unsigned enabled_states(void) {
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

int equip_cpu_level(void) {
    unsigned a, b, c, d, features, extended;
    if (!__get_cpuid(1, &a, &b, &features, &d)) return 0;
    const unsigned first = bit_FMA | bit_MOVBE | bit_OSXSAVE | bit_AVX;
    if ((features & first) != first) return 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
    extended = b;
    if (!__get_cpuid(0x80000001, &a, &b, &c, &d) || !(c & (1u << 5))) return 0; /* LZCNT */
    const unsigned second = bit_AVX2 | bit_BMI | bit_BMI2;
    unsigned states = enabled_states();
    if ((extended & second) != second || (states & 0x06) != 0x06) return 0;
    const unsigned third = bit_AVX512F | bit_AVX512BW | bit_AVX512CD | bit_AVX512DQ | bit_AVX512VL;
    return (extended & third) == third && (states & 0xe6) == 0xe6 ? 4 : 3;
}

int equip_load(const char *directory, equip_api *api) {
    char path[4096];
    int level = equip_cpu_level();
    if (level == 0) return -1;
    if (snprintf(path, sizeof path, "%s%slibequip_kernels_v%d.so", directory ? directory : "", directory ? "/" : "", level) >= (int)sizeof path) return -2;
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) return -2;
    void *found;
#define EQUIP_FIND(name) \
    found = dlsym(library, #name); \
    if (found == NULL) return -2; \
    memcpy(&api->name, &found, sizeof found);
    EQUIP_FUNCTIONS(EQUIP_FIND)
#undef EQUIP_FIND
    return api->equip_abi_version() == EQUIP_ABI_VERSION ? 0 : -3;
}
