// ends_decode and ends_prefill: what a step has outside its layers. Decode: embedding, head and
// sampling in the captured graph. Prefill: these, and by the clock of the host all that a step takes
// beside its layers: its numbers on their way to the GPU, the first launch, the wait for the end.
#include <algorithm>

#include "exec/calibrate/rank_bench.h"
#include "exec/step/captured_sizes.h"

namespace v4cap::exec::calibrate {
namespace {

ProfileFamily described(const std::string& name, std::vector<ProfileAxis> axes,
                        const std::string& note) {
  ProfileFamily f;
  f.name = name;
  f.grain = ProfileGrain::module;
  f.kernel_source = "v4exec";
  f.keys = {"model", "tp", "ep"};
  f.axes = std::move(axes);
  f.covers = {"embedding", "head"};
  f.note = note;
  return f;
}

class EndsDecode final : public StepFamily {
 public:
  ProfileFamily describe() const override {
    ProfileFamily f = described("ends_decode", {{"batch", "rows"}},
                                "embedding, head and sampling in a captured graph");
    f.keys = {"model", "tp"};
    return f;
  }

  std::vector<Point> points(const Rank& rank, GridSize) const override {
    std::vector<Point> all;
    auto keys = rank_keys(rank);
    keys.pop_back();
    for (const double batch : {1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256}) {
      all.push_back({keys, {batch}});
    }
    return all;
  }

  Measurement measure(MeasureContext& context, const Point& point) override {
    RankBench& b = bench(context);
    const auto batch = static_cast<std::int64_t>(point.at[0]);
    b.runner().prepare_decode(b.sequences(batch, 1023, 1), batch);
    b.runner().wait();
    const auto graph = b.runner().capture_decode(batch, 4096, {.embeds = true, .samples = true});
    return b.time([&] { b.runner().launch(*graph); }, context.seconds);
  }
};

class EndsPrefill final : public StepFamily {
 public:
  ProfileFamily describe() const override {
    ProfileFamily f = described("ends_prefill", {{"tokens", "tokens"}, {"rows", "rows"}},
                                "embedding, head and sampling of `rows`, and what a launched step "
                                "takes beside its layers, by the clock of the host");
    f.keys = {"model", "tp"};
    return f;
  }

  std::vector<Point> points(const Rank& rank, GridSize) const override {
    std::vector<Point> all;
    auto keys = rank_keys(rank);
    keys.pop_back();
    for (const double tokens : {1, 64, 512, 2048, 4096, 8192}) {
      for (const double rows : {0, 1, 4, 16, 64, 256}) {
        if (rows <= tokens) all.push_back({keys, {tokens, rows}});
      }
    }
    return all;
  }

  Measurement measure(MeasureContext& context, const Point& point) override {
    RankBench& b = bench(context);
    const auto tokens = static_cast<std::int32_t>(point.at[0]);
    const auto rows = static_cast<std::int32_t>(point.at[1]);
    const std::int32_t count = std::max(rows, 1);
    auto sequences = b.sequences(count, 1024, tokens / count);
    for (StepSequence& q : sequences) q.emits = rows > 0;
    const StepRunner::Part part{.embeds = true, .samples = true};
    return b.wall([&] { b.runner().prefill_part(sequences, part); }, context.seconds);
  }
};

const bool registered =
    FamilyRegistry::add("ends_decode", [] { return std::make_unique<EndsDecode>(); }) &&
    FamilyRegistry::add("ends_prefill", [] { return std::make_unique<EndsPrefill>(); });

}  // namespace
}  // namespace v4cap::exec::calibrate
