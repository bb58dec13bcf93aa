// H2O in place from C++: the policy observes what every slot received and names the next victim. A snapshot taken on the way is restored
// into a second cache, and both must go on alike to the bit.
#include <equip_kernels.h>

#include <cstdio>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

constexpr int heads = 8, kv_heads = 2, head_dim = 64, budget = 48, tokens = 200, layers = 2;

void check(equip_status status) {
    if (status != EQUIP_STATUS_OK) throw std::runtime_error(std::string(equip_status_name(status)) + ": " + equip_last_error());
}

template <typename T, equip_status (*Destroy)(T *)>
struct deleter {
    void operator()(T *handle) const { Destroy(handle); }
};
template <typename T, equip_status (*Destroy)(T *)>
using owned = std::unique_ptr<T, deleter<T, Destroy>>;

// A sequence: its policy and its cache.
class sequence {
public:
    sequence(equip_context *context, equip_rope *rope) : context_(context) {
        equip_policy_options policy_options;
        check(equip_policy_options_init(&policy_options, sizeof policy_options));
        policy_options.budget_tokens = budget;
        equip_policy *policy = nullptr;
        check(equip_policy_create("h2o", &policy_options, &policy));
        policy_.reset(policy);
        equip_cache_options options{};
        options.struct_size = sizeof options;
        options.layers = layers;
        options.heads = heads;
        options.kv_heads = kv_heads;
        options.head_dim = head_dim;
        options.cache_type = EQUIP_TYPE_F16;
        equip_cache *cache = nullptr;
        check(equip_cache_create(&options, rope, policy, &cache));
        cache_.reset(cache);
    }

    std::vector<float> step(int position) {
        std::mt19937 random(static_cast<unsigned>(position) + 1);
        std::normal_distribution<float> normal;
        auto row = [&](int count) {
            std::vector<float> values(static_cast<size_t>(count) * head_dim);
            for (float &value : values) value = normal(random);
            return values;
        };
        std::vector<float> output(heads * head_dim), received(kv_heads * (budget + 1));
        for (int layer = 0; layer < layers; layer++) {
            int32_t slots[kv_heads];
            auto queries = row(heads), keys = row(kv_heads), values = row(kv_heads);
            check(equip_policy_choose(policy_.get(), cache_.get(), layer, position, slots));
            check(equip_cache_write(context_, cache_.get(), layer, position, slots, keys.data(), values.data()));
            check(equip_cache_attend(context_, cache_.get(), layer, position, queries.data(), output.data(), received.data(), budget + 1));
            check(equip_policy_observe(policy_.get(), cache_.get(), layer, position, received.data(), budget + 1));
        }
        return output;
    }

    std::vector<char> save() const {
        int64_t bytes = 0;
        check(equip_cache_snapshot_size(cache_.get(), &bytes));
        std::vector<char> buffer(static_cast<size_t>(bytes));
        check(equip_cache_snapshot(cache_.get(), buffer.data(), bytes));
        return buffer;
    }

    void restore(const std::vector<char> &buffer) { check(equip_cache_restore(cache_.get(), buffer.data(), static_cast<int64_t>(buffer.size()))); }

    int64_t live() const {
        int64_t slots = 0, live = 0;
        check(equip_cache_positions(cache_.get(), 0, 1, nullptr, 0, &slots, &live));
        return live;
    }

private:
    equip_context *context_;
    owned<equip_policy, equip_policy_destroy> policy_;
    owned<equip_cache, equip_cache_destroy> cache_;
};

}  // namespace

int main() try {
    equip_context *context = nullptr;
    check(equip_context_create(nullptr, &context));
    owned<equip_context, equip_context_destroy> owns_context(context);
    equip_rope_options options;
    check(equip_rope_options_init(&options, sizeof options));
    options.head_dim = head_dim;
    equip_rope *rope = nullptr;
    check(equip_rope_create(&options, &rope));
    owned<equip_rope, equip_rope_destroy> owns_rope(rope);

    sequence first(context, rope), second(context, rope);
    for (int position = 0; position < tokens / 2; position++) first.step(position);
    auto snapshot = first.save();
    second.restore(snapshot);
    for (int position = tokens / 2; position < tokens; position++)
        if (first.step(position) != second.step(position)) throw std::runtime_error("the restored cache goes another way");
    if (first.live() != budget + 1) throw std::runtime_error("the budget was not kept");
    std::printf("equip %s: %d tokens, %lld live, a snapshot of %zu bytes goes on alike\n", equip_version(), tokens, static_cast<long long>(first.live()), snapshot.size());
    return 0;
} catch (const std::exception &failure) {
    std::fprintf(stderr, "%s\n", failure.what());
    return 1;
}
