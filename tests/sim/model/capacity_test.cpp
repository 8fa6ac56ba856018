#include "sim/model/capacity.h"

#include <doctest/doctest.h>

#include <initializer_list>

#include "tests/models.h"

namespace v4cap {
namespace {

constexpr Bytes kMemory{44 * kGiB};
constexpr RetentionPolicy kFull{Retention::full, {}};
constexpr RetentionPolicy kRecompute{Retention::recompute, {}};
constexpr RetentionPolicy kEvery2048{Retention::checkpoint, Tokens{2048}};

CacheGeometry pro() {
  const ModelData& data = known_model("deepseek-v4-pro");
  return {data.spec, data.entry_fp8};
}

TEST_CASE("bytes per token under each way of keeping windows") {
  const CacheGeometry g = pro();
  CHECK(Capacity(g, kFull, kMemory).bytes_per_token() == doctest::Approx(41135).epsilon(1e-4));
  CHECK(Capacity(g, kRecompute, kMemory).bytes_per_token() == doctest::Approx(5511).epsilon(1e-4));
  // 7,017,472 B a point / 2,048 = 3,426.5 B on top.
  CHECK(Capacity(g, kEvery2048, kMemory).bytes_per_token() ==
        doctest::Approx(5511.4 + 3426.5).epsilon(1e-4));
}

TEST_CASE("averages per token meet the bytes of a long sequence") {
  const CacheGeometry g = pro();
  for (const RetentionPolicy& policy : {kFull, kRecompute, kEvery2048}) {
    CAPTURE(to_string(policy));
    const Capacity c(g, policy, kMemory);
    const Tokens n{std::int64_t{1} << 20};
    CHECK(static_cast<double>(c.cached(n).total().value) ==
          doctest::Approx(c.bytes_per_token() * static_cast<double>(n.value)).epsilon(1e-12));
  }
}

TEST_CASE("a point off the multiples of 128 holds HCA rows too") {
  const CacheGeometry g = pro();
  const Capacity on(g, {Retention::checkpoint, Tokens{256}}, kMemory);
  const Capacity off(g, {Retention::checkpoint, Tokens{257}}, kMemory);
  const Capacity young(g, {Retention::checkpoint, Tokens{64}}, kMemory);
  CHECK(on.point().total() == Bytes{61 * 128 * 584 + 30 * 81920});
  CHECK(off.point().total() == on.point().total() + Bytes{31 * 4096});
  CHECK(young.point()[CacheKind::swa] == 61 * 64 * 584);
}

TEST_CASE("what fits fits, and one more does not") {
  const CacheGeometry g = pro();
  for (const RetentionPolicy& policy : {kFull, kRecompute, kEvery2048}) {
    for (const std::int64_t length : {4096, 65536, 1 << 20}) {
      CAPTURE(to_string(policy));
      CAPTURE(length);
      const Capacity c(g, policy, kMemory);
      const Bytes running = (c.cached(Tokens{length}) + c.bytes_per_request()).total();
      const std::int64_t n = c.running_sequences(Tokens{length});
      CHECK(running * n <= kMemory);
      CHECK(running * (n + 1) > kMemory);
      const std::int64_t kept = c.cached_sequences(Tokens{length});
      CHECK(kept >= n);
      CHECK(c.cached(Tokens{length}).total() * (kept + 1) > kMemory);
    }
  }
}

// The published pair for one HGX B200 node is 1.2 M tokens with the full store; 44 to 49 GiB are
// left for KV.
TEST_CASE("a B200 in TP8 holds about 1.2 M tokens under full") {
  const Capacity c(pro(), kFull, kMemory);
  CHECK(static_cast<double>(c.tokens().value) == doctest::Approx(1.15e6).epsilon(0.01));
}

}  // namespace
}  // namespace v4cap
