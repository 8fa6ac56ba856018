// What surrounds the layers of a step: windows through scratch pages and rings, points copied out
// and in, rebuilding after a hit, captured decode beside launched one. A made-up model of four
// layers; prompts of a few thousand tokens. What a sequence holds after a way around (its last
// window in every layer, the compressors' rows) is held against what it holds after an
// uninterrupted prefill: bit by bit where the same launches lead there. Elsewhere batches of other
// sizes round differently, which quantisers and near ties of experts turn into some percent in the
// deepest layers (as in layer_suite.cpp); an entry of a wrong position would be off by more than
// 100 percent, so the worst entry is judged beside all of them.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <functional>
#include <numeric>

#include "exec/step/step_runner.h"
#include "exec/suite.h"
#include "kernels/cuda/check.h"
#include "kernels/formats/numbers.h"
#include "kernels/reference.h"

namespace v4cap::exec {
namespace {

using kernels::kTokensPerPage;
using kernels::kWindow;

constexpr int kMaxContext = 4096;
constexpr int kBlocks = kMaxContext / kTokensPerPage;
constexpr int kSlots = 6;
constexpr int kPoints = 3;

Rank small_rank() {
  Rank rank;
  rank.model.name = "four layers";
  rank.model.layers = {LayerKind::window, LayerKind::csa, LayerKind::hca, LayerKind::csa};
  rank.model.moe.hash_layers = 1;
  rank.shape = tiny_shape();
  return rank;
}

// The last window and the compressors' rows of a slot.
struct Held {
  std::vector<std::uint8_t> window;
  std::vector<float> rows;
};

constexpr std::size_t kEntryBytes = kernels::kEntryDataBytes + kernels::kEntryScaleBytes;

std::vector<double> numbers(const std::vector<std::uint8_t>& entries) {
  std::vector<double> out;
  for (std::size_t e = 0; e < entries.size(); e += kEntryBytes) {
    const std::uint8_t* entry = entries.data() + e;
    for (std::size_t c = 0; c < kernels::kNopeDim; ++c) {
      const std::uint8_t scale = entry[kernels::kEntryDataBytes + c / kernels::kNopeBlock];
      out.push_back(kernels::real(kernels::e4m3_to_float(entry[c])) *
                    kernels::real(kernels::ue8m0_to_float(scale)));
    }
    for (std::size_t c = 0; c < kernels::kRopeDim; ++c) {
      const std::size_t at = kernels::kNopeDim + 2 * c;
      kernels::Bf16 value;
      value.bits = static_cast<std::uint16_t>(entry[at] | entry[at + 1] << 8);
      out.push_back(kernels::real(value));
    }
  }
  return out;
}

enum class Sameness {
  bits,     // the same launches lead there
  numbers,  // up to what different batch sizes round differently
  shown     // known to differ: measured, not judged
};

constexpr double kWindowDrift = 0.1, kRowDrift = 0.2;
constexpr double kWorst = 0.8;  // of one entry or row
constexpr double kShown = 10;   // no error of a window is that large

void compare_held(std::vector<Finding>& findings, const std::string& what, const Held& expected,
                  const Held& got, Sameness sameness) {
  const auto add = [&](const std::string& part, std::vector<double> wanted,
                       std::vector<double> found, std::int64_t width, double drift) {
    const double tolerance = sameness == Sameness::bits      ? 0
                             : sameness == Sameness::numbers ? drift
                                                             : kShown;
    const auto all = compare(what + part, wanted, found, width, tolerance, kWorst / drift);
    findings.insert(findings.end(), all.begin(), all.end());
  };
  add(": window", numbers(expected.window), numbers(got.window), kernels::kHeadDim, kWindowDrift);
  // A state's rows have u and g; the keys' are a quarter as wide.
  if (expected.rows.empty()) return;
  add(": rows", {expected.rows.begin(), expected.rows.end()}, {got.rows.begin(), got.rows.end()},
      2 * kernels::kIndexDim, kRowDrift);
}

// Window entries of a slot's positions in every layer.
std::vector<std::uint8_t> window_of(const StepRunner& runner, std::int32_t slot, std::int32_t first,
                                    std::int32_t count, const std::vector<std::int32_t>& pages) {
  std::vector<std::uint8_t> bytes, entry(kEntryBytes);
  for (std::int64_t l = 0; l < runner.rank().layers(); ++l) {
    const kernels::KvPool pool = runner.pools().windows(l);
    for (std::int32_t position = first; position < first + count; ++position) {
      const std::int32_t page = runner.options().pools.windows_in_pages
                                    ? pages[static_cast<std::size_t>(position / kTokensPerPage)]
                                    : slot;
      copy_to_host(entry.data(), pool.data(page, position % kTokensPerPage),
                   kernels::kEntryDataBytes);
      copy_to_host(entry.data() + kernels::kEntryDataBytes,
                   pool.scales(page, position % kTokensPerPage), kernels::kEntryScaleBytes);
      bytes.insert(bytes.end(), entry.begin(), entry.end());
    }
  }
  return bytes;
}

// The four rows that a slot's CSA compressors need behind a position that is a multiple of 8.
std::vector<float> rows_of(const StepRunner& runner, std::int32_t slot) {
  std::vector<float> all;
  for (const int head_dim : {kernels::kHeadDim, kernels::kIndexDim}) {
    const MoveRowsArgs rows = runner.pools().csa_rows(head_dim);
    const std::int64_t floats = kept_row_floats(head_dim);
    std::vector<float> part(static_cast<std::size_t>(floats));
    for (int l = 0; l < rows.layers; ++l) {
      copy_to_host(part.data(), rows.state + l * rows.state_layer_floats + (2 * slot + 1) * floats,
                   part.size() * sizeof(float));
      all.insert(all.end(), part.begin(), part.end());
    }
  }
  return all;
}

// A runner and what its sequences need to have.
class Stage {
 public:
  Stage(const Device& device, bool windows_in_pages)
      : runner_(device, small_rank(),
                {.pools = {.pages = kSlots * kBlocks,
                           .points = kPoints,
                           .slots = kSlots,
                           .windows_in_pages = windows_in_pages},
                 .max_context = kMaxContext,
                 .step_tokens = 2048}) {
    for (std::int64_t b = 0; b < kBlocks; ++b) keys_.push_back(1000 + 7 * b);
  }

  // Pages of a slot's own, dealt out in no order that kernels could count on.
  std::vector<std::int32_t> own_pages(int slot) const {
    std::vector<std::int32_t> pages;
    for (int b = 0; b < kBlocks; ++b) pages.push_back(b * kSlots + (slot + b) % kSlots);
    return pages;
  }

  void admit(const Admission& admission) { runner_.admit(std::span(&admission, 1)); }

  void prefill(int slot, const std::vector<std::int32_t>& pages, int from, int to,
               int stored_from = 0, std::vector<PointSave> saves = {}) {
    const StepSequence q{.slot = slot,
                         .past = from,
                         .tokens = to - from,
                         .pages = pages,
                         .stored_from = stored_from,
                         .emits = true,
                         .keys = std::span(keys_).subspan(static_cast<std::size_t>(from) / 256),
                         .saves = std::move(saves)};
    runner_.prefill(std::span(&q, 1));
    runner_.wait();
  }

  Held held(int slot, const std::vector<std::int32_t>& pages, int position) {
    runner_.wait();
    return {window_of(runner_, slot, std::max(position - kWindow, 0), std::min(position, kWindow),
                      pages),
            position % 8 == 0 ? rows_of(runner_, slot) : std::vector<float>()};
  }

  StepRunner& runner() { return runner_; }
  std::span<const std::int64_t> keys() const { return keys_; }

 private:
  StepRunner runner_;
  std::vector<std::int64_t> keys_;
};

using Findings = std::vector<Finding>;

// One chunk, odd chunks, and token by token at the end.
Findings chunks(const Device& device) {
  Findings findings;
  for (const bool in_pages : {false, true}) {
    Stage stage(device, in_pages);
    const std::string mode = in_pages ? "in pages, " : "";
    const auto a = stage.own_pages(0), b = stage.own_pages(1), c = stage.own_pages(2);
    for (int slot = 0; slot < 3; ++slot) stage.admit({.slot = slot});
    stage.prefill(0, a, 0, 1200);
    int at = 0;
    for (const int tokens : {1, 300, 77, 5, 510, 3, 304}) {
      stage.prefill(1, b, at, at + tokens);
      at += tokens;
    }
    stage.prefill(2, c, 0, 1184);
    for (int t = 1184; t < 1200; ++t) stage.prefill(2, c, t, t + 1);
    const Held whole = stage.held(0, a, 1200);
    compare_held(findings, mode + "odd chunks", whole, stage.held(1, b, 1200), Sameness::numbers);
    compare_held(findings, mode + "token by token", whole, stage.held(2, c, 1200),
                 Sameness::numbers);
  }
  return findings;
}

// Captured decode of several sequences, padded, against the same tokens launched one by one.
Findings decode(const Device& device) {
  Findings findings;
  for (const bool in_pages : {false, true}) {
    Stage stage(device, in_pages);
    StepRunner& runner = stage.runner();
    std::vector<std::vector<std::int32_t>> pages;
    const std::vector<int> lengths{700, 132, 252, 700, 132, 252};
    for (int slot = 0; slot < 6; ++slot) {
      pages.push_back(stage.own_pages(slot));
      stage.admit({.slot = slot});
      stage.prefill(slot, pages.back(), 0, lengths[static_cast<std::size_t>(slot)]);
    }
    constexpr int kSteps = 132;
    for (int step = 0; step < kSteps; ++step) {
      std::vector<StepSequence> together;
      for (int slot = 0; slot < 3; ++slot) {
        together.push_back({.slot = slot,
                            .past = lengths[static_cast<std::size_t>(slot)] + step,
                            .pages = pages[static_cast<std::size_t>(slot)],
                            .emits = true});
      }
      runner.decode(together);
      for (StepSequence& q : together) {
        q.slot += 3;
        q.pages = pages[static_cast<std::size_t>(q.slot)];
      }
      runner.prefill_part(together, runner.whole());  // not filled up: as many rows
      runner.wait();
    }
    for (int slot = 0; slot < 3; ++slot) {
      const int end = lengths[static_cast<std::size_t>(slot)] + kSteps;
      compare_held(findings, in_pages ? "in pages, decode" : "decode",
                   stage.held(slot + 3, pages[static_cast<std::size_t>(slot) + 3], end),
                   stage.held(slot, pages[static_cast<std::size_t>(slot)], end), Sameness::bits);
    }
  }
  return findings;
}

// A hit resumes at a kept point: kept between two chunks, and in the middle of one.
Findings checkpoint(const Device& device) {
  Findings findings;
  Stage stage(device, false);
  const auto a = stage.own_pages(0);
  stage.admit({.slot = 0});
  stage.prefill(0, a, 0, 700, 0, {{512, 0}});
  stage.prefill(0, a, 700, 1024, 0, {{768, 1}, {1024, 2}});
  stage.prefill(0, a, 1024, 1536);
  const Held whole = stage.held(0, a, 1536);
  // Behind the end of a chunk: what follows is launched as before.
  stage.admit({.slot = 1, .position = 1024, .point = 2});
  stage.prefill(1, a, 1024, 1536, 6);
  compare_held(findings, "kept at a chunk's end", whole, stage.held(1, a, 1536), Sameness::bits);
  stage.admit({.slot = 2, .position = 768, .point = 1});
  stage.prefill(2, a, 768, 1536, 6);
  compare_held(findings, "kept within a chunk", whole, stage.held(2, a, 1536), Sameness::numbers);
  stage.admit({.slot = 3, .position = 512, .point = 0});
  stage.prefill(3, a, 512, 1536, 6);
  compare_held(findings, "kept early", whole, stage.held(3, a, 1536), Sameness::numbers);

  // Saved out of a slot between steps, after decoding up to a block's end.
  stage.admit({.slot = 4});
  const auto d = stage.own_pages(4);
  stage.prefill(4, d, 0, 500);
  StepRunner& runner = stage.runner();
  for (int t = 500; t < 512; ++t) {
    const StepSequence q{.slot = 4, .past = t, .pages = d, .emits = true};
    runner.decode(std::span(&q, 1));
    runner.wait();
  }
  const StepRunner::SlotSave save{.slot = 4, .position = 512, .point = 0};
  runner.save_points(std::span(&save, 1));
  stage.admit({.slot = 5, .position = 512, .point = 0});
  compare_held(findings, "saved from a slot", stage.held(4, d, 512), stage.held(5, d, 512),
               Sameness::bits);
  return findings;
}

// Windows in pages: a hit reads them in place and has the rows of its last block.
Findings full(const Device& device) {
  Findings findings;
  Stage stage(device, true);
  const auto a = stage.own_pages(0);
  std::vector<PointSave> saves;
  for (int b = 0; b < 4; ++b)
    saves.push_back({(b + 1) * kTokensPerPage, a[static_cast<std::size_t>(b)]});
  stage.admit({.slot = 0});
  stage.prefill(0, a, 0, 1024, 0, saves);
  stage.prefill(0, a, 1024, 1400);
  auto b = stage.own_pages(1);
  std::copy(a.begin(), a.begin() + 4, b.begin());
  stage.admit({.slot = 1, .position = 1024, .last_page = a[3]});
  stage.prefill(1, b, 1024, 1400, 4);
  compare_held(findings, "full", stage.held(0, a, 1400), stage.held(1, b, 1400), Sameness::bits);
  return findings;
}

// Nothing is kept: windows are rebuilt from the entries that are still there.
Findings rebuild(const Device& device) {
  Findings findings;
  Stage stage(device, false);
  StepRunner& runner = stage.runner();
  const int layers = static_cast<int>(runner.rank().layers());
  constexpr int kHit = 1536;
  const int rectangle = layers * kWindow;
  const auto a = stage.own_pages(0);
  stage.admit({.slot = 0});
  stage.prefill(0, a, 0, kHit);
  const Held whole = stage.held(0, a, kHit);

  stage.admit({.slot = 1});
  stage.prefill(1, a, kHit - rectangle, kHit, kHit / kTokensPerPage);
  compare_held(findings, "rectangle", whole, stage.held(1, a, kHit), Sameness::numbers);

  stage.admit({.slot = 2});
  stage.prefill(2, a, kHit - rectangle, kHit - 200, kHit / kTokensPerPage);
  stage.prefill(2, a, kHit - 200, kHit, kHit / kTokensPerPage);
  compare_held(findings, "rectangle in two chunks", whole, stage.held(2, a, kHit),
               Sameness::numbers);

  const auto pyramid = [&](int slot, std::initializer_list<int> cuts) {
    stage.admit({.slot = slot});
    int from = kHit - rectangle;
    for (const int to : cuts) {
      const StepSequence q{
          .slot = slot,
          .past = from,
          .tokens = to - from,
          .pages = a,
          .stored_from = kHit / kTokensPerPage,
          .keys = stage.keys().subspan(static_cast<std::size_t>(from / kTokensPerPage))};
      runner.rebuild_pyramid(q, kHit);
      runner.wait();
      from = to;
    }
  };
  pyramid(3, {kHit});
  compare_held(findings, "pyramid", whole, stage.held(3, a, kHit), Sameness::numbers);
  pyramid(4, {kHit - 300, kHit - 44, kHit});
  compare_held(findings, "pyramid in three chunks", whole, stage.held(4, a, kHit),
               Sameness::numbers);

  stage.admit({.slot = 5});
  stage.prefill(5, a, kHit - kWindow, kHit, kHit / kTokensPerPage);
  compare_held(findings, "replay, approximate", whole, stage.held(5, a, kHit), Sameness::shown);

  // Nothing of the entries has changed: an uninterrupted prefill of the rest reads the same.
  stage.prefill(0, a, kHit, 1800);
  const Held rest = stage.held(0, a, 1800);
  stage.prefill(1, a, kHit, 1800);
  compare_held(findings, "prompt after a rebuild", rest, stage.held(1, a, 1800), Sameness::numbers);
  return findings;
}

class StepCase : public Case {
 public:
  using Run = Findings (*)(const Device&);
  StepCase(Run run, std::uint64_t) : run_(run) {}

  std::vector<VersionInfo> versions(const Device& device) override {
    device_ = &device;
    VersionInfo preferred;
    preferred.name = "preferred";
    return {preferred};
  }
  void launch(std::size_t, kernels::Stream) override { findings_ = run_(*device_); }
  void reset() override {}
  int launches() const override { return 1; }
  std::vector<Finding> judge() override { return findings_; }
  kernels::Work work() const override { return {}; }

 private:
  Run run_;
  const Device* device_ = nullptr;
  Findings findings_;
};

CaseSpec spec(std::string name, StepCase::Run run) {
  return {std::move(name),
          [run](std::uint64_t seed) { return std::make_unique<StepCase>(run, seed); }};
}

Suite suite() {
  Suite s{.name = "step"};
  s.check = {spec("chunks of a prefill", chunks), spec("captured decode", decode),
             spec("points kept and copied back", checkpoint), spec("windows in pages", full),
             spec("windows rebuilt", rebuild)};
  return s;
}

const RegisterSuite kSuite{suite()};

}  // namespace
}  // namespace v4cap::exec
