#include "sim/cache/capacity.h"

#include <doctest/doctest.h>

#include <initializer_list>
#include <memory>
#include <string>

#include "tests/models.h"

namespace v4cap {
namespace {

constexpr Bytes kMemory{44 * kGiB};
constexpr Tokens kBlock{256};

// V4-Pro in the ideal layout under a policy.
struct Pro {
  CacheGeometry geometry{known_model("deepseek-v4-pro").spec,
                         known_model("deepseek-v4-pro").entry_fp8};
  std::unique_ptr<Layout> layout =
      make_layout("ideal", {geometry, known_model("deepseek-v4-pro").spec, kBlock, kMemory, {}});
  std::unique_ptr<SwaPolicy> policy;
  Capacity capacity;

  explicit Pro(const std::string& policy_text)
      : policy(make_policy(policy_text, geometry, kBlock, {})),
        capacity(*layout, *policy, kBlock) {}
};

const std::string kPolicies[] = {"full", "checkpoint=2048", "checkpoint=768", "recompute"};

TEST_CASE("bytes per token under each way of keeping windows") {
  CHECK(Pro("full").capacity.bytes_per_token() == doctest::Approx(41135).epsilon(1e-4));
  CHECK(Pro("recompute").capacity.bytes_per_token() == doctest::Approx(5511.4).epsilon(1e-4));
  // 7,017,472 B a point: 3,426.5 B a token every 2,048, 9,137.3 every 768.
  CHECK(Pro("checkpoint=2048").capacity.bytes_per_token() ==
        doctest::Approx(5511.4 + 3426.5).epsilon(1e-4));
  CHECK(Pro("checkpoint=768").capacity.bytes_per_token() ==
        doctest::Approx(5511.4 + 9137.3).epsilon(1e-4));
  CHECK(Pro("full").capacity.point().total() == Bytes{61 * 128 * 584 + 30 * 81920});
}

TEST_CASE("averages per token meet the bytes of a long sequence") {
  for (const std::string& policy : kPolicies) {
    CAPTURE(policy);
    const Pro pro(policy);
    const Tokens n{768 * 4096};
    CHECK(static_cast<double>(pro.capacity.cached(n).total().value) ==
          doctest::Approx(pro.capacity.bytes_per_token() * static_cast<double>(n.value))
              .epsilon(1e-12));
  }
}

TEST_CASE("what fits fits, and one more does not") {
  for (const std::string& policy : kPolicies) {
    const Pro pro(policy);
    const Capacity& c = pro.capacity;
    for (const std::int64_t length : {4096, 65536, 1 << 20}) {
      CAPTURE(policy);
      CAPTURE(length);
      const Bytes running = (c.cached(Tokens{length}) + c.running()).total();
      const std::int64_t n = c.running_sequences(Tokens{length});
      CHECK(running * n <= kMemory);
      CHECK(running * (n + 1) > kMemory);
      const std::int64_t kept = c.cached_sequences(Tokens{length});
      CHECK(kept >= n);
      CHECK(c.cached(Tokens{length}).total() * (kept + 1) > kMemory);
    }
    CHECK(c.cached(c.tokens()).total() <= kMemory);
  }
}

TEST_CASE("a running sequence holds whole blocks, a cached one only full blocks") {
  const Pro pro("recompute");
  CHECK(pro.capacity.running_sequences(Tokens{4097}) ==
        pro.capacity.running_sequences(Tokens{4352}));
  CHECK(pro.capacity.cached(Tokens{4351}) == pro.capacity.cached(Tokens{4096}));
}

// The pair published for one HGX B200 node begins with 1.2 M tokens under the full store; in TP8
// the weights leave 44 to 49 GiB of each GPU for the KV cache.
TEST_CASE("a B200 node in TP8 holds about 1.2 M tokens under full") {
  CHECK(static_cast<double>(Pro("full").capacity.tokens().value) ==
        doctest::Approx(1.15e6).epsilon(0.01));
}

}  // namespace
}  // namespace v4cap
