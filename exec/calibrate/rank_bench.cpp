#include "exec/calibrate/rank_bench.h"

#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "exec/driver/wait.h"
#include "kernels/cuda/check.h"
#include "kernels/formats/pages.h"
#include "sim/core/error.h"

namespace v4cap::exec::calibrate {
namespace {

using kernels::kTokensPerPage;

constexpr int kLeastSamples = 3, kMostSamples = 50;
// Steps of different tokens that a layer's time is taken from: about this many tokens in all.
constexpr std::int64_t kTokensTimed = 96;
constexpr int kLeastSteps = 2, kMostSteps = 32;
constexpr double kSettledShare =
    0.15;  // p90 - p10 against the mean, less than what a profile marks
constexpr double kLongerUnsettled = 4;
constexpr int kStepsAround = 40;         // of differences of two clocks
constexpr double kTenth = 1.2816;        // of a normal distribution: p90 in standard deviations
constexpr double kShareOfMemory = 0.35;  // of what is free, for pages
constexpr std::int32_t kMostPages = 1 << 15;
constexpr std::size_t kVariantStride = 37;  // of slots, between the tokens of two variants

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

double elapsed_us(const Event& begin, const Event& end) {
  float ms = 0;
  V4CAP_CUDA(cudaEventElapsedTime(&ms, begin.get(), end.get()));
  return 1e3 * static_cast<double>(ms);
}

// A place for an event wherever a layer begins or ends, and what passed between them.
class Marks {
 public:
  Marks(kernels::Stream stream, bool captured) : stream_(stream), captured_(captured) {}

  void begin() { used_ = 0; }
  // Events of a graph are recorded whenever it runs.
  void mark() {
    if (used_ == events_.size()) events_.push_back(std::make_unique<Event>());
    V4CAP_CUDA(cudaEventRecordWithFlags(events_[used_++]->get(), stream_,
                                        captured_ ? cudaEventRecordExternal : 0));
  }
  std::vector<double> between_us() const {
    std::vector<double> us;
    for (std::size_t i = 0; i + 1 < used_; ++i) {
      us.push_back(elapsed_us(*events_[i], *events_[i + 1]));
    }
    return us;
  }

 private:
  kernels::Stream stream_;
  bool captured_;
  std::vector<std::unique_ptr<Event>> events_;
  std::size_t used_ = 0;
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

int steps_of(std::int64_t tokens) {
  return static_cast<int>(std::clamp<std::int64_t>(kTokensTimed / tokens, kLeastSteps, kMostSteps));
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

void KindTimes::add(const std::vector<double>& layers_us, double scale) {
  V4CAP_CHECK(static_cast<std::int64_t>(layers_us.size()) == model_.layer_count(),
              std::to_string(layers_us.size()) + " layers");
  std::map<std::string, std::pair<double, int>> sums;
  for (std::size_t l = 0; l < layers_us.size(); ++l) {
    auto& [us, layers] = sums[kind_name(model_, static_cast<std::int64_t>(l))];
    us += scale * layers_us[l];
    ++layers;
  }
  for (const auto& [kind, sum] : sums) us_[kind].push_back(sum.first / sum.second);
}

Measurement middle_of(std::vector<double> us, double sm_mhz) {
  V4CAP_CHECK(!us.empty(), "no samples");
  std::ranges::sort(us);
  const auto at = [&](double share) {
    return us[static_cast<std::size_t>(share * static_cast<double>(us.size() - 1) + 0.5)];
  };
  // Of a normal distribution: the quarters lie 1.349 deviations apart, and the median of n samples
  // deviates by 1.253 / sqrt(n) of one.
  const double deviation = (at(0.75) - at(0.25)) / 1.349;
  const double off = kTenth * 1.253 * deviation / std::sqrt(static_cast<double>(us.size()));
  return {at(0.5), at(0.5) - off, at(0.5) + off, static_cast<int>(us.size()), sm_mhz};
}

LayerTimes KindTimes::summarised(double sm_mhz) const {
  LayerTimes times;
  for (const auto& [kind, us] : us_) {
    const auto steps = static_cast<double>(us.size());
    const double mean = std::accumulate(us.begin(), us.end(), 0.0) / steps;
    double squares = 0;
    for (const double one : us) squares += (one - mean) * (one - mean);
    const double off = steps > 1 ? kTenth * std::sqrt(squares / (steps - 1) / steps) : 0;
    times[kind] = {mean, mean - off, mean + off, static_cast<int>(us.size()), sm_mhz};
  }
  return times;
}

bool KindTimes::settled() const {
  if (us_.empty() || us_.begin()->second.size() < 2) return false;
  return std::ranges::all_of(summarised(0), [](const auto& time) {
    return time.second.p90_us - time.second.p10_us <= kSettledShare * time.second.median_us;
  });
}

std::vector<std::string> rank_keys(const Rank& rank) {
  return {rank.model.measured_as, std::to_string(rank.tp), std::to_string(rank.ep)};
}

std::int32_t RankBench::pages_for() const {
  std::size_t free = 0, total = 0;
  V4CAP_CUDA(cudaMemGetInfo(&free, &total));
  PoolSizes one, two;
  one.pages = 1;
  two.pages = 2;
  const std::int64_t page = pool_bytes(rank_, two).total() - pool_bytes(rank_, one).total();
  const auto most = static_cast<std::int64_t>(kShareOfMemory * static_cast<double>(free)) / page;
  return static_cast<std::int32_t>(std::min<std::int64_t>(most, kMostPages));
}

RankBench::RankBench(const MeasureContext& context, RankTeam* team)
    : device_(*context.device),
      team_(team),
      rank_(make_rank(context.rank.model, context.rank.tp, context.rank.ep,
                      team == nullptr ? 0 : team->index())),
      runner_(*context.device, rank_,
              {.pools = {.pages = pages_for(), .points = kPoints, .slots = kSlots},
               .max_context = kMaxContext,
               .step_tokens = kStepTokens,
               .sum = team == nullptr ? RankSum{} : team->sum()}) {
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
  fill_windows();
}

StepSequence RankBench::sequence(std::int32_t slot, std::int32_t past, std::int32_t tokens,
                                 std::int32_t variant) {
  V4CAP_CHECK(slot < kSlots && past + tokens <= kMaxContext, "a point beyond the runner's");
  const auto blocks = static_cast<std::size_t>((past + tokens - 1) / kTokensPerPage + 1);
  const auto first_key = static_cast<std::size_t>(past / kTokensPerPage);
  const auto s = static_cast<std::size_t>(slot);
  StepSequence q{.slot = slot, .past = past, .tokens = tokens, .emits = true};
  q.pages = std::span(pages_[s]).first(blocks);
  if (tokens > 1) {
    const auto& keys = keys_[(s + static_cast<std::size_t>(variant) * kVariantStride) % kSlots];
    q.keys = std::span(keys).subspan(first_key, blocks - first_key);
  }
  return q;
}

std::vector<StepSequence> RankBench::sequences(std::int64_t count, std::int32_t past,
                                               std::int32_t tokens, std::int32_t variant) {
  std::vector<StepSequence> all;
  for (std::int32_t s = 0; s < count; ++s) all.push_back(sequence(s, past, tokens, variant));
  return all;
}

void RankBench::fill_windows() {
  constexpr std::int32_t kTogether = kStepTokens / kernels::kWindow;
  for (std::int32_t first = 0; first < kSlots; first += kTogether) {
    // A prefill leaves the last window of a ring that holds two.
    for (const std::int32_t past : {0, kernels::kWindow}) {
      std::vector<StepSequence> windows;
      for (std::int32_t s = first; s < std::min(first + kTogether, kSlots); ++s) {
        windows.push_back(sequence(s, past, kernels::kWindow));
      }
      runner_.prefill(windows);
      runner_.wait();
    }
  }
}

Measurement RankBench::time(const std::function<void()>& launch, double seconds) {
  launch();
  wait_for(runner_.stream(), "the first launch of a measurement");
  runner_.wait();
  const Event begin, end;
  return sampled(device_, seconds, [&] {
    V4CAP_CUDA(cudaEventRecord(begin.get(), runner_.stream()));
    launch();
    V4CAP_CUDA(cudaEventRecord(end.get(), runner_.stream()));
    wait_for(runner_.stream(), "a measurement");
    runner_.wait();
    return elapsed_us(begin, end);
  });
}

LayerTimes RankBench::layers_of_decode(std::span<const StepSequence> sequences) {
  const auto batch = static_cast<std::int64_t>(sequences.size());
  const std::int32_t longest = std::ranges::max_element(sequences, {}, &StepSequence::past)->past;
  const std::int32_t context = StepRunner::context_bucket(longest + 1);
  Marks marks(runner_.stream(), true);
  StepRunner::Part part{.layers = runner_.whole().layers};
  const auto embeds = runner_.capture_decode(batch, context, {.embeds = true});
  const auto plain = runner_.capture_decode(batch, context, part);
  part.between_layers = [&] { marks.mark(); };
  const auto marked = runner_.capture_decode(batch, context, part);
  const Event begin, end;
  KindTimes times(rank_.model);
  const int least = steps_of(batch);
  // The first is not counted. Few layers that choose experts by their tokens scatter more than many.
  const auto goes_on = [&](int step) {
    return step < least || (step < kMostSteps && agreed(!times.settled()));
  };
  for (int step = -1; goes_on(step); ++step) {
    runner_.set_last_tokens(static_cast<std::uint64_t>(step + 2));
    runner_.prepare_decode(sequences, batch);
    runner_.launch(*embeds);
    meet();
    V4CAP_CUDA(cudaEventRecord(begin.get(), runner_.stream()));
    runner_.launch(*plain);
    V4CAP_CUDA(cudaEventRecord(end.get(), runner_.stream()));
    runner_.launch(*embeds);
    meet();
    runner_.launch(*marked);
    wait_for(runner_.stream(), "a measurement");
    runner_.wait();
    if (step < 0) continue;
    // Events between layers cost some time, which the step without them does not have.
    const std::vector<double> layers_us = marks.between_us();
    const double sum_us = std::accumulate(layers_us.begin(), layers_us.end(), 0.0);
    times.add(layers_us, elapsed_us(begin, end) / sum_us);
  }
  return times.summarised(read_clocks(device_).sm_mhz);
}

LayerTimes RankBench::layers_of_prefill(
    const std::function<std::vector<StepSequence>(std::int32_t variant)>& make, double seconds) {
  Marks marks(runner_.stream(), false);
  StepRunner::Part part{.layers = runner_.whole().layers, .embeds = true};
  part.between_layers = [&] { marks.mark(); };
  KindTimes times(rank_.model);
  std::int64_t tokens = 0;
  for (const StepSequence& q : make(0)) tokens += q.tokens;
  const int least = steps_of(tokens);
  double timed_us = 0;
  // What scatters gets several times as long.
  const auto enough = [&] {
    return timed_us >= 1e6 * seconds * (times.settled() ? 1 : kLongerUnsettled);
  };
  const auto goes_on = [&](int step) {
    return step < least || (step < kMostSteps && agreed(!enough()));
  };
  for (int step = -1; goes_on(step); ++step) {
    runner_.set_last_tokens(static_cast<std::uint64_t>(step + 2));  // of sequences of one new token
    marks.begin();
    meet();
    runner_.prefill_part(make(step + 1), part);
    wait_for(runner_.stream(), "a measurement");
    runner_.wait();
    if (step < 0) continue;
    const std::vector<double> layers_us = marks.between_us();
    timed_us += std::accumulate(layers_us.begin(), layers_us.end(), 0.0);
    times.add(layers_us, 1);
  }
  return times.summarised(read_clocks(device_).sm_mhz);
}

LayerTimes RankBench::layers_of(const LayerTask& task, double seconds) {
  const auto past = static_cast<std::int32_t>(task.past);
  if (task.what == LayerTask::What::prefill) {
    const auto fresh = static_cast<std::int32_t>(task.tokens / task.sequences);
    return layers_of_prefill(
        [&](std::int32_t variant) { return sequences(task.sequences, past, fresh, variant); },
        seconds);
  }
  std::vector<StepSequence> all = sequences(task.sequences, past, 1);
  if (task.what == LayerTask::What::longest) {
    all.front() = sequence(0, past + static_cast<std::int32_t>(task.beyond), 1);
  }
  return layers_of_decode(all);
}

bool RankBench::agreed(bool mine) {
  return team_ == nullptr ? mine : team_->agreed(mine);
}

void RankBench::meet() {
  if (team_ != nullptr) team_->meet(runner_.stream());
}

Measurement RankBench::time_around_decode(std::span<const StepSequence> sequences) {
  const auto batch = static_cast<std::int64_t>(sequences.size());
  const std::int32_t context = StepRunner::context_bucket(sequences.front().past + 1);
  const auto whole = runner_.capture_decode(batch, context, runner_.whole());
  const Event begin, end;
  const auto once = [&] {
    const auto start = std::chrono::steady_clock::now();
    runner_.prepare_decode(sequences, batch);
    runner_.launch(*whole);
    runner_.wait();
    const double all_us = passed_us(start);
    // The graph alone: launched while another one runs, so that launching it is not waited for.
    runner_.launch(*whole);
    V4CAP_CUDA(cudaEventRecord(begin.get(), runner_.stream()));
    runner_.launch(*whole);
    V4CAP_CUDA(cudaEventRecord(end.get(), runner_.stream()));
    runner_.wait();
    return all_us - elapsed_us(begin, end);
  };
  once();
  std::vector<double> us;
  for (int i = 0; i < kStepsAround; ++i) us.push_back(once());
  return middle_of(std::move(us), read_clocks(device_).sm_mhz);
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

Measurement TimedOnce::at(const std::vector<double>& point, const std::string& kind,
                          const Time& time) {
  if (point != at_ || !left_.contains(kind)) {
    left_ = time();
    at_ = point;
  }
  const auto node = left_.extract(kind);
  V4CAP_CHECK(!node.empty(), kind);
  return node.mapped();
}

Measurement LayerFamily::measure(MeasureContext& context, const Point& point) {
  if (of_ranks_ && team_ == nullptr) team_ = std::make_unique<RankTeam>(context);
  if (bench_ == nullptr) bench_ = std::make_unique<RankBench>(context, team_.get());
  return times_.at(point.at, point.keys.back(), [&] {
    const LayerTask task = task_of(point);
    if (team_ != nullptr) team_->begin(task);
    return bench_->layers_of(task, context.seconds);
  });
}

void LayerFamily::serve(MeasureContext& context, const PeerSeat& seat) {
  if (!of_ranks_) return Family::serve(context, seat);
  RankTeam team(context, seat);
  RankBench bench(context, &team);
  while (const auto task = team.next()) bench.layers_of(*task, context.seconds);
}

ProfileFamily LayerFamily::entry(const std::string& name, const std::string& note) const {
  ProfileFamily f;
  f.name = (of_ranks_ ? "ranks_" : "layer_") + name;
  f.grain = ProfileGrain::module;
  f.kernel_source = "v4exec";
  f.keys = {"model", "tp", "ep", "layer"};
  f.covers = {"layer"};
  if (of_ranks_) f.covers.emplace_back("all_reduce");
  f.note = note + (of_ranks_ ? "; rank 0 of ranks that run together, the sums between them included"
                             : "; collectives skipped");
  return f;
}

}  // namespace v4cap::exec::calibrate
