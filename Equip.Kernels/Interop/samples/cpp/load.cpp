// Loads the library that suits the processor.
#include <equip_loader.h>

#include <cstdio>

int main() {
    equip_api equip;
    if (int failure = equip_load(EQUIP_LIBRARY_DIRECTORY, &equip)) {
        std::fprintf(stderr, "equip_load: %d\n", failure);
        return 1;
    }
    std::printf("processor level %d, library %s, %d policies\n", equip_cpu_level(), equip.equip_level(), equip.equip_policy_count());
    return equip_cpu_level() == 0;
}
