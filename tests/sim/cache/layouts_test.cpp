// What every registered layout promises, on random parameters, and that the two that ask layouts
// what fits agree: capacity figures and the cache of a run.
#include <doctest/doctest.h>

#include <algorithm>
#include <boost/random/uniform_int_distribution.hpp>
#include <string>
#include <vector>

#include "sim/cache/capacity.h"
#include "sim/cache/kv_cache.h"
#include "sim/core/random.h"
#include "tests/sim/cache/engine_layout.h"

namespace v4cap {
namespace {

class Draws {
 public:
  explicit Draws(const std::string& stream) : random_(RandomStreams(7).stream(stream)) {}
  std::int64_t operator()(std::int64_t low, std::int64_t high) {
    return boost::random::uniform_int_distribution<std::int64_t>(low, high)(random_);
  }
  template <class T>
  T one_of(const std::vector<T>& values) {
    return values[static_cast<std::size_t>((*this)(0, std::ssize(values) - 1))];
  }

 private:
  RandomEngine random_;
};

// Small values more often than large ones, as ranges reach from 1 to 2^20.
double parameter_value(const LayoutParameter& p, Draws& draw) {
  if (!p.whole) return p.min + (p.max - p.min) * static_cast<double>(draw(0, 100)) / 100;
  const auto low = static_cast<std::int64_t>(p.min), high = static_cast<std::int64_t>(p.max);
  return static_cast<double>(draw(low, std::min(high, low + (std::int64_t{1} << draw(0, 12)))));
}

LayoutSetting random_setting(const std::string& layout, Draws& draw) {
  LayoutSetting s;
  s.model =
      draw.one_of<std::string>({"deepseek-v4-pro", "deepseek-v4-flash", "deepseek-v4-flash-0731"});
  s.indexer = draw(0, 1) == 0 ? IndexerFormat::fp8 : IndexerFormat::fp4;
  s.memory = Bytes{draw(1, 64) * kGiB + draw(0, kGiB)};
  s.block = Tokens{draw.one_of<std::int64_t>(
      layout == "trtllm" ? std::vector<std::int64_t>{128, 256}
                         : std::vector<std::int64_t>{128, 256, 384, 512, 1024})};
  s.step_tokens = Tokens{draw(1, 20000)};
  s.steps_in_flight = draw(1, 2);
  s.draft_tokens = draw(0, 1) * draw(1, 7);
  s.max_running = draw(1, 512);
  s.max_context = Tokens{draw(1, 1 << 20)};
  if (const auto* parameters = LayoutParameters::find(layout); parameters != nullptr) {
    for (const LayoutParameter& p : *parameters) {
      if (draw(0, 1) == 1) s.options[p.name] = parameter_value(p, draw);
    }
  }
  return s;
}

std::string text_of(const LayoutSetting& s) {
  std::string text = s.model + ", block " + std::to_string(s.block.value) + ", memory " +
                     std::to_string(s.memory.value) + ", drafts " + std::to_string(s.draft_tokens);
  for (const auto& [name, value] : s.options) text += ", " + name + ' ' + std::to_string(value);
  return text;
}

bool none_negative(const KindBytes& bytes) {
  return std::ranges::all_of(bytes.bytes, [](std::int64_t b) { return b >= 0; });
}

TEST_CASE("no layout has an object of negative bytes, and sums of parts are the whole") {
  for (const std::string& name : LayoutRegistry::names()) {
    CAPTURE(name);
    Draws draw("objects of " + name);
    for (int i = 0; i < 200; ++i) {
      LayoutSetting s = random_setting(name, draw);
      if (layout_traits(name).window_pool && draw(0, 2) == 0) {
        s.window_pool_ratio = static_cast<double>(draw(1, 100)) / 100;
      }
      const std::string setting = text_of(s);
      CAPTURE(setting);
      const auto layout = engine_layout(name, s);
      check_promises(*layout);
      const std::int64_t a = draw(0, 50), b = a + draw(0, 50), c = b + draw(0, 50);
      for (const bool window : {false, true}) {
        CHECK(layout->blocks(a, b, window) + layout->blocks(b, c, window) ==
              layout->blocks(a, c, window));
        CHECK(none_negative(layout->blocks(a, c, window)));
        CHECK(none_negative(layout->running(window, Tokens{1})));
        CHECK(none_negative(layout->running(window, Tokens{draw(1, 20000)})));
      }
      CHECK(layout->windows(a, b) + layout->windows(b, c) == layout->windows(a, c));
      CHECK(none_negative(layout->windows(a, c)));
      CHECK(none_negative(layout->point(s.block * draw(0, 100))));
      for (const PoolSpec& pool : layout->pools()) CHECK(pool.capacity >= Bytes{0});
      CHECK(layout->window_pool_ratio().has_value() == separates_windows(*layout));
    }
  }
}

// Sequences of `length` tokens with nothing in common that run at once.
std::int64_t admitted(KvCache& cache, Tokens length) {
  const std::int64_t blocks = length / cache.block();
  for (std::int64_t n = 0;; ++n) {
    CachedSequence sequence;
    sequence.keys = {{n << 40, blocks}};
    sequence.indexable = blocks;
    const Lookup nothing = cache.lookup(sequence, length);
    if (!cache.admit(sequence, nothing, length, Tokens{1}, true)) return n;
    cache.commit(sequence, length);
  }
}

TEST_CASE("capacity says as many sequences run at once as a cache admits, in every layout") {
  for (const std::string& name : LayoutRegistry::names()) {
    for (const std::string policy : {"full", "recompute", "checkpoint=2048"}) {
      CAPTURE(name);
      CAPTURE(policy);
      Draws draw("capacity of " + name + " under " + policy);
      for (int i = 0; i < 60; ++i) {
        LayoutSetting s = random_setting(name, draw);
        s.block = Tokens{draw.one_of<std::int64_t>({128, 256})};
        const std::string setting = text_of(s);
        CAPTURE(setting);
        const ModelData& data = known_model(s.model);
        const CacheGeometry geometry(
            data.spec, s.indexer == IndexerFormat::fp4 ? *data.entry_fp4 : data.entry_fp8);
        auto kept = make_policy(policy, geometry, s.block, std::nullopt);
        s.window_of_every_token = kept->stores_window_of_every_token();
        const auto layout = engine_layout(name, s);
        const Capacity capacity(*layout, *kept, s.block);
        // Lengths that at most some dozens of sequences have room for, and some that have none.
        const std::int64_t all = capacity.tokens().value;
        const Tokens length{draw(std::max<std::int64_t>(1, all / 40), all + all / 8 + 1000)};
        CAPTURE(length.value);
        const std::int64_t run = capacity.running_sequences(length);
        KvCache cache(engine_layout(name, s), std::move(kept), s.block);
        const bool points = policy == "checkpoint=2048";  // a run does without where room is short
        if (run >= 1 || !points) CHECK(cache.fits_alone(length, Tokens{1}) == (run >= 1));
        const std::int64_t ran = admitted(cache, length);
        CHECK((points ? ran >= run : ran == run));
      }
    }
  }
}

}  // namespace
}  // namespace v4cap
