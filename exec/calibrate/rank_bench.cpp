#include "exec/calibrate/rank_bench.h"

#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "exec/driver/wait.h"
#include "kernels/cuda/check.h"
#include "kernels/formats/pages.h"
#include "sim/core/error.h"

namespace v4cap::exec::calibrate {
namespace {

using kernels::kTokensPerPage;

constexpr int kLeastSamples = 3, kMostSamples = 50;
constexpr double kShareOfMemory = 0.35;  // of what is free, for pages
constexpr std::int32_t kMostPages = 1 << 15;

std::string kind_name(const ModelSpec& model, std::int64_t layer) {
  const LayerKind kind = model.layers[static_cast<std::size_t>(layer)];
  std::string name = kind == LayerKind::csa ? "csa" : kind == LayerKind::hca ? "hca" : "window";
  if (layer < model.moe.hash_layers) name += "_hash";
  return name;
}

class Event {
 public:
  Event() { V4CAP_CUDA(cudaEventCreate(&event_)); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  cudaEvent_t get() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

double passed_us(std::chrono::steady_clock::time_point begin) {
  const std::chrono::duration<double, std::micro> passed = std::chrono::steady_clock::now() - begin;
  return passed.count();
}

// Samples until `seconds` are measured; `sample` gives microseconds.
Measurement sampled(const Device& device, double seconds, const std::function<double()>& sample) {
  std::vector<double> us;
  double total_us = 0;
  while (static_cast<int>(us.size()) < kLeastSamples ||
         (total_us < 1e6 * seconds && static_cast<int>(us.size()) < kMostSamples)) {
    us.push_back(sample());
    total_us += us.back();
  }
  std::ranges::sort(us);
  const auto at = [&](double share) {
    return us[static_cast<std::size_t>(share * static_cast<double>(us.size() - 1) + 0.5)];
  };
  return {at(0.5), at(0.1), at(0.9), static_cast<int>(us.size()), read_clocks(device).sm_mhz};
}

}  // namespace

std::vector<std::string> layer_kinds(const ModelSpec& model) {
  std::vector<std::string> kinds;
  for (std::int64_t l = 0; l < model.layer_count(); ++l) {
    const std::string name = kind_name(model, l);
    if (std::ranges::find(kinds, name) == kinds.end()) kinds.push_back(name);
  }
  std::ranges::sort(kinds);
  return kinds;
}

std::vector<int> layers_of(const ModelSpec& model, const std::string& kind) {
  std::vector<int> layers;
  for (std::int64_t l = 0; l < model.layer_count(); ++l) {
    if (kind_name(model, l) == kind) layers.push_back(static_cast<int>(l));
  }
  V4CAP_CHECK(!layers.empty(), kind);
  return layers;
}

std::vector<int> layers_of(const ModelSpec& model, const std::string& kind, std::size_t count) {
  std::vector<int> layers = layers_of(model, kind);
  const std::size_t own = layers.size();
  while (layers.size() < count) layers.push_back(layers[layers.size() - own]);
  layers.resize(count);
  return layers;
}

std::vector<std::string> rank_keys(const Rank& rank) {
  return {rank.model.measured_as, std::to_string(rank.tp), std::to_string(rank.ep)};
}

std::int32_t RankBench::pages_for(const MeasureContext& context) const {
  std::size_t free = 0, total = 0;
  V4CAP_CUDA(cudaMemGetInfo(&free, &total));
  const exec::Rank rank = make_rank(context.rank.model, context.rank.tp, context.rank.ep);
  PoolSizes one, two;
  one.pages = 1;
  two.pages = 2;
  const std::int64_t page = pool_bytes(rank, two).total() - pool_bytes(rank, one).total();
  const auto most = static_cast<std::int64_t>(kShareOfMemory * static_cast<double>(free)) / page;
  return static_cast<std::int32_t>(std::min<std::int64_t>(most, kMostPages));
}

RankBench::RankBench(const MeasureContext& context)
    : device_(*context.device),
      rank_(make_rank(context.rank.model, context.rank.tp, context.rank.ep)),
      runner_(*context.device, rank_,
              {.pools = {.pages = pages_for(context), .points = kPoints, .slots = kSlots},
               .max_context = kMaxContext,
               .step_tokens = kStepTokens}) {
  constexpr std::int32_t kBlocks = kMaxContext / kTokensPerPage;
  const std::int32_t pages = runner_.options().pools.pages;
  // Pages follow each other with a stride that shares no factor with their number, so that no two
  // neighbours of a sequence are neighbours in memory.
  std::int32_t stride = 1013;
  while (pages % stride == 0) ++stride;
  std::int64_t next = 0;
  pages_.resize(kSlots);
  for (auto& own : pages_) {
    own.reserve(kBlocks);
    for (std::int32_t b = 0; b < kBlocks; ++b) {
      own.push_back(static_cast<std::int32_t>(next % pages));
      next += stride;
    }
  }
  for (std::int64_t s = 0; s < kSlots; ++s) {
    keys_.emplace_back();
    for (std::int64_t b = 0; b < kBlocks; ++b) keys_.back().push_back(s * kBlocks + b);
  }
  runner_.set_last_tokens(1);
  std::vector<Admission> all;
  for (std::int32_t s = 0; s < kSlots; ++s) all.push_back({.slot = s});
  runner_.admit(all);
  runner_.wait();
}

StepSequence RankBench::sequence(std::int32_t slot, std::int32_t past, std::int32_t tokens) {
  V4CAP_CHECK(slot < kSlots && past + tokens <= kMaxContext, "a point beyond the runner's");
  const auto blocks = static_cast<std::size_t>((past + tokens - 1) / kTokensPerPage + 1);
  const auto first_key = static_cast<std::size_t>(past / kTokensPerPage);
  const auto s = static_cast<std::size_t>(slot);
  StepSequence q{.slot = slot, .past = past, .tokens = tokens, .emits = true};
  q.pages = std::span(pages_[s]).first(blocks);
  if (tokens > 1) q.keys = std::span(keys_[s]).subspan(first_key, blocks - first_key);
  return q;
}

std::vector<StepSequence> RankBench::sequences(std::int64_t count, std::int32_t past,
                                               std::int32_t tokens) {
  std::vector<StepSequence> all;
  for (std::int32_t s = 0; s < count; ++s) all.push_back(sequence(s, past, tokens));
  return all;
}

void RankBench::bring_to(std::span<const StepSequence> sequences) {
  constexpr std::size_t kTogether = kStepTokens / kernels::kWindow;
  for (std::size_t i = 0; i < sequences.size(); i += kTogether) {
    std::vector<StepSequence> windows;
    std::vector<Admission> admissions;
    for (const StepSequence& q : sequences.subspan(i, std::min(kTogether, sequences.size() - i))) {
      const std::int32_t tokens = std::min(q.past, kernels::kWindow);
      windows.push_back(sequence(q.slot, q.past - tokens, tokens));
      admissions.push_back({.slot = q.slot});
    }
    runner_.admit(admissions);
    runner_.prefill(windows);
    runner_.wait();
  }
}

Measurement RankBench::time(const std::function<void()>& launch, double seconds) {
  return time_between(
      [&](const std::function<void()>& begin) {
        begin();
        launch();
      },
      seconds);
}

Measurement RankBench::time_decode(std::span<const StepSequence> sequences,
                                   const std::vector<int>& layers, double seconds) {
  const auto batch = static_cast<std::int64_t>(sequences.size());
  const std::int32_t longest = std::ranges::max_element(sequences, {}, &StepSequence::past)->past;
  const std::int32_t context = StepRunner::context_bucket(longest + 1);
  runner_.prepare_decode(sequences, batch);
  runner_.wait();
  const auto embeds = runner_.capture_decode(batch, context, {.embeds = true});
  const auto timed = runner_.capture_decode(batch, context, {.layers = layers});
  return time_between(
      [&](const std::function<void()>& begin) {
        runner_.launch(*embeds);
        begin();
        runner_.launch(*timed);
      },
      seconds);
}

Measurement RankBench::time_prefill(std::span<const StepSequence> sequences,
                                    const std::vector<int>& layers, double seconds) {
  return time_between(
      [&](const std::function<void()>& begin) {
        runner_.prefill_part(sequences, {.layers = layers, .embeds = true, .before_layers = begin});
      },
      seconds);
}

Measurement RankBench::time_around_decode(std::span<const StepSequence> sequences, double seconds) {
  const auto batch = static_cast<std::int64_t>(sequences.size());
  const std::int32_t context = StepRunner::context_bucket(sequences.front().past + 1);
  const auto whole = runner_.capture_decode(batch, context, runner_.whole());
  const Event begin, end;
  const auto once = [&] {
    const auto start = std::chrono::steady_clock::now();
    runner_.prepare_decode(sequences, batch);
    V4CAP_CUDA(cudaEventRecord(begin.get(), runner_.stream()));
    runner_.launch(*whole);
    V4CAP_CUDA(cudaEventRecord(end.get(), runner_.stream()));
    runner_.wait();
    const double all_us = passed_us(start);
    float ms = 0;
    V4CAP_CUDA(cudaEventElapsedTime(&ms, begin.get(), end.get()));
    return all_us - 1e3 * static_cast<double>(ms);
  };
  once();
  return sampled(device_, seconds, once);
}

Measurement RankBench::time_between(const TimedLaunch& launch, double seconds) {
  launch([] {});
  wait_for(runner_.stream(), "the first launch of a measurement");
  runner_.wait();
  const Event begin, end;
  return sampled(device_, seconds, [&] {
    launch([&] { V4CAP_CUDA(cudaEventRecord(begin.get(), runner_.stream())); });
    V4CAP_CUDA(cudaEventRecord(end.get(), runner_.stream()));
    wait_for(runner_.stream(), "a measurement");
    runner_.wait();
    float ms = 0;
    V4CAP_CUDA(cudaEventElapsedTime(&ms, begin.get(), end.get()));
    return 1e3 * static_cast<double>(ms);
  });
}

Measurement RankBench::wall(const std::function<void()>& launch, double seconds) {
  launch();
  runner_.wait();
  return sampled(device_, seconds, [&] {
    const auto begin = std::chrono::steady_clock::now();
    launch();
    runner_.wait();
    return passed_us(begin);
  });
}

Measurement RankBench::launched(const std::function<void()>& launch, double seconds) {
  launch();
  runner_.wait();
  return sampled(device_, seconds, [&] {
    const auto begin = std::chrono::steady_clock::now();
    launch();
    const double us = passed_us(begin);
    runner_.wait();
    return us;
  });
}

Measurement LayersOfStep::at(const ModelSpec& model, const std::vector<double>& point,
                             const std::string& kind, std::size_t layers_timed, const Time& time) {
  if (point != at_ || !alone_.contains(kind)) {
    at_.clear();
    alone_.clear();
    double sum_us = 0;
    std::vector<int> all;
    for (std::int64_t l = 0; l < model.layer_count(); ++l) all.push_back(static_cast<int>(l));
    for (const std::string& k : layer_kinds(model)) {
      Measurement m = time(layers_of(model, k, layers_timed));
      for (double* us : {&m.median_us, &m.p10_us, &m.p90_us}) {
        *us /= static_cast<double>(layers_timed);
      }
      sum_us += m.median_us * static_cast<double>(layers_of(model, k).size());
      alone_[k] = m;
    }
    scale_ = time(all).median_us / sum_us;
    at_ = point;
  }
  Measurement m = alone_.at(kind);
  alone_.erase(kind);
  for (double* us : {&m.median_us, &m.p10_us, &m.p90_us}) *us *= scale_;
  return m;
}

}  // namespace v4cap::exec::calibrate
